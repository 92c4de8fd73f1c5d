"""Commands that are started in a process group of their own, to be killed."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence

SPACE = "bottleneck-32"
"""What is trained, profiled, searched and delivered."""


def hwsearch(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own."""
    command = [sys.executable, "-m", "hwsearch", *words]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def undisturbed(words: Sequence[str]) -> None:
    """Runs a command to its end."""
    assert hwsearch(words).wait() == 0, words


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits until a command ends, but not for longer than so many seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
