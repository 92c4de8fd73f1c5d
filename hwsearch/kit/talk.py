"""How a child process tells its parent what it does, and at its end what went wrong."""

import json
import mmap
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hwsearch.errors import HwsearchError

TELL_SECONDS = 0.5
"""How often progress is told: rarely, for whoever listens takes a core."""

KEY_BYTES = 1024
"""Length of the file that holds the job at work, padded with spaces."""

MISTAKE, ENGINE_FAILED = 2, 3
"""Exit statuses: an error that ends all work, and one that ends the work on one engine."""


class EngineFailed(Exception):
    """An engine could not be built or loaded; told to the parent as the reason."""


def answer(work: Callable[[], None]) -> int:
    """Does the work of a child process; an error is told as the last line.

    Returns:
        The exit status: 0, `MISTAKE` after a `HwsearchError`, `ENGINE_FAILED` after that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    try:
        work()
    except HwsearchError as error:
        where = str(error.where) if error.where else None
        tell(error={"what": error.what, "where": where, "fix": error.fix})
        return MISTAKE
    except EngineFailed as error:
        tell(failed=str(error))
        return ENGINE_FAILED
    return 0


def tell(**news: object) -> None:
    """Writes one line of news for the parent."""
    print(json.dumps(news), flush=True)


class Telling:
    """Progress for the parent, which also shows this process whether there still is one.

    Args:
        done: Pieces of work done before.
    """

    def __init__(self, done: int) -> None:
        self.done = done
        self._told = 0.0

    def did(self) -> None:
        """Counts a piece of work."""
        self.done += 1
        self.alive()

    def alive(self) -> None:
        """Tells how much is done, unless it was told a moment ago."""
        if time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            tell(done=self.done)


def fresh_note(order: Path) -> Path:
    """Makes an empty note of the job at work; an older one may still be mapped and is left."""
    path = order.with_name("at")
    path.unlink(missing_ok=True)
    path.touch()
    return path


@contextmanager
def note_beside(order: Path) -> Iterator[Callable[[str], None]]:
    """Yields what notes the job at work, for whoever finds this process dead.

    The note is a mapped file: writing it costs nothing and outlives a crash.

    Args:
        order: The file `at` beside it takes the note.
    """
    path = fresh_note(order)
    path.write_bytes(b" " * KEY_BYTES)

    def write(job: str) -> None:
        note[:] = job.encode()[:KEY_BYTES].ljust(KEY_BYTES)

    with path.open("r+b") as file, mmap.mmap(file.fileno(), KEY_BYTES) as note:
        yield write
