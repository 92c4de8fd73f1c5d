"""Sub-nets for clusters of the data, and which of them fits a task (SDR)."""
