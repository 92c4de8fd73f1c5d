"""Waiting for something to happen elsewhere."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails after twenty seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
