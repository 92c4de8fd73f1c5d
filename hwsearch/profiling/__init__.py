"""Measuring devices: what to measure, the process that measures, and the tables it fills."""
