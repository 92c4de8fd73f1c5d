"""SIGTERM unwinds a search like Ctrl-C does, so that its processes end with it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Turns SIGTERM into SystemExit with status 143, where Python allows handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    print("hwsearch: stopped; the same command goes on", file=sys.stderr)
    raise SystemExit(128 + number)
