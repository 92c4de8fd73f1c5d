"""Static networks on their way to a runtime."""
