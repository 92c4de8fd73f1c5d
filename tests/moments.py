"""Waiting for something to happen elsewhere."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Returns once the condition holds; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
