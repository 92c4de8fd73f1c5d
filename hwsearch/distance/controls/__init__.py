"""Controls: what else orders networks without labels, and what a distance must beat."""
