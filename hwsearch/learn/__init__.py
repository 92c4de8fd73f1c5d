"""Learned architectures."""
