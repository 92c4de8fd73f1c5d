"""Reports: the fronts of a search as figures."""
