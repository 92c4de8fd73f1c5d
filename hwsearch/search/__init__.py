"""Search: the Pareto front of teacher distance against predicted latency."""
