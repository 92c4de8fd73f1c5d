"""The study of many networks: does one of them win everywhere? (SSL-NAS, arXiv 2203.08130)."""
