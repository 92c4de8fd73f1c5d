"""How good a network's features are, judged with a few labels."""
