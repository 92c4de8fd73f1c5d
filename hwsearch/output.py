"""Standard output: any text can be printed there, and what it does not take is told, once."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def printing() -> Iterator[None]:
    """Surrounds a program that prints: letters that the encoding lacks are shown as "?".

    Raises:
        OSError: If what was printed cannot be written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        yield
        print(end="", flush=True)
    except OSError:
        _let_go()
        raise


def _let_go() -> None:
    """Gives up what cannot be written: Python must not try again at exit, with a traceback."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
