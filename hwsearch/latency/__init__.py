"""Latency: measured tables, and what they predict for any network of their space."""
