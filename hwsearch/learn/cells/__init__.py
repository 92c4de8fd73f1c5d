"""Learned cells: differentiable architecture search driven by images without labels."""
