"""From a chosen subnet to a verified engine, and back into Python."""
