"""Does a distance order networks as labels do: bins of latency, judges, controls, intervals."""
