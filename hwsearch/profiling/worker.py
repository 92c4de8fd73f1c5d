"""The measuring process: nothing in it but NumPy, one runtime and the engines."""

import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.measurement import Visit, measure
from hwsearch.profiling.order import KIND, Order, failures
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import Engine, LoadOptions

TELL_SECONDS = 0.5
"""How often progress is told: rarely, for whoever listens takes a core."""

KEY_BYTES = 1024
"""Length of the file that holds the job at work, padded with spaces."""


class EngineFailed(Exception):
    """An engine could not be loaded; told to the parent as the reason."""


def main(path: Path) -> int:
    """Measures what an order says; progress goes to standard output as JSON lines.

    Args:
        path: The order; beside it, `at` holds the job at work for whoever finds this process dead.

    Returns:
        0; 2 after a `HwsearchError`, told as the last line; 3 if an engine could not be loaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    order = Order.read(path)
    try:
        _pin(order.threads)
        _measure(order, path.with_name("at"))
    except HwsearchError as error:
        where = str(error.where) if error.where else None
        _tell(error={"what": error.what, "where": where, "fix": error.fix})
        return 2
    except EngineFailed as error:
        _tell(failed=str(error))
        return 3
    return 0


def _measure(order: Order, at: Path) -> None:
    runtime = get_runtime(order.runtime)
    options = LoadOptions(order.threads, order.precision, shared_pool=True)
    providers: set[str] = set()

    @contextmanager
    def load(engine: Path) -> Iterator[Engine]:
        try:
            context = runtime.load(engine, options)
            loaded = context.__enter__()
        except HwsearchError as error:
            raise EngineFailed(str(error)) from error
        providers.add(loaded.provider)
        try:
            yield loaded
        finally:
            context.__exit__(None, None, None)

    with Journal.open(order.journal, KIND, order.header) as journal, _note_of(at) as note:
        if journal.repaired:
            _tell(repaired=journal.repaired)
        failed = failures(journal.rows)
        visits = [Visit.from_row(row) for row in journal.rows if "visit" in row]
        telling = _Telling(len(visits))

        def record(visit: Visit) -> None:
            journal.append(visit.as_row())
            telling.visited()

        def watch(key: str) -> None:
            note[:] = key.encode()[:KEY_BYTES].ljust(KEY_BYTES)
            telling.alive()

        began = time.monotonic()
        reason = measure(
            [job for job in order.jobs if job.key not in failed],
            order.references,
            load,
            record,
            settings=order.settings,
            visits=visits,
            watch=watch,
        )
        journal.append(
            {
                "ended": reason,
                "budget_seconds": order.settings.budget_seconds,
                "seconds": round(time.monotonic() - began, 3),
                "provider": ",".join(sorted(providers)),
            }
        )


class _Telling:
    """Progress for the parent, which also shows this process whether there still is one."""

    def __init__(self, visits: int) -> None:
        self.visits = visits
        self._told = 0.0

    def visited(self) -> None:
        self.visits += 1
        self.alive()

    def alive(self) -> None:
        if time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            _tell(visits=self.visits)


def _tell(**news: object) -> None:
    print(json.dumps(news), flush=True)


@contextmanager
def _note_of(path: Path) -> Iterator[mmap.mmap]:
    """A few bytes of a file, mapped: writing them costs nothing and outlives a crash."""
    path.write_bytes(b" " * KEY_BYTES)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), KEY_BYTES) as note:
        yield note


def _pin(threads: int) -> None:
    """Keeps to as many cores as threads, the last ones: the first serves interrupts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
