"""Runs the command line: `python -m hwsearch`."""

import sys

from hwsearch.cli import main

sys.exit(main())
