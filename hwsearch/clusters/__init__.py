"""Clusters of images as a tree, and the path of a network that belongs to each."""
