"""Which selector chooses best: every way to choose a network, against the best network there is."""
