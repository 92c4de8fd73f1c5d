"""What the programs that travel have in common: exit statuses, words of options, lines said."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hwsearch
from hwsearch.errors import HwsearchError, system_error
from hwsearch.journal import Busy
from hwsearch.output import printing

MISTAKE, BUSY, INTERRUPTED = 2, 75, 130
"""Exit statuses: an error, told in one line; another one is at work in this folder; stopped by
Ctrl-C."""


def run_program(name: str, run: Callable[[Path, Sequence[str]], None], words: Sequence[str]) -> int:
    """Runs the program of the folder that this package lies in, as a zip file.

    Args:
        name: What its messages begin with.
        run: Takes the folder and the command line.
        words: The command line.

    Returns:
        The exit status: 0, or one of those above.
    """
    try:
        with printing():
            run(Path(hwsearch.__file__).parents[2], words)
    except HwsearchError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return BUSY if isinstance(error, Busy) else MISTAKE
    except OSError as cause:
        print(f"{name}: error: {system_error(cause)}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print(f"{name}: stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def positive(text: str) -> float:
    """Reads an option that is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number above 0, not '{text}'")
    return value


def degrees(text: str) -> float:
    """Reads a temperature, 0 meaning any."""
    return 0.0 if text == "0" else positive(text)


def count(text: str) -> int:
    """Reads an option that is a whole number."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"takes a whole number, not '{text}'")
    return int(text)
