"""The measuring process: nothing in it but NumPy, one runtime and the engines."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit.cooling import Cooling
from hwsearch.kit.cores import cores_to_measure
from hwsearch.kit.order import KIND, Order, failures
from hwsearch.kit.talk import EngineFailed, Telling, answer, note_beside, tell
from hwsearch.measurement import Visit, measure
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import Engine, Feed, LoadOptions, TensorSpec


def main(path: Path) -> int:
    """Measures what an order says; progress goes to standard output as JSON lines.

    Args:
        path: The order.

    Returns:
        The exit status, as `answer` gives it.
    """
    return answer(lambda: _measure(path))


def _measure(path: Path) -> None:
    order = Order.read(path)
    _pin(order.threads)
    loader = _Loader(order)
    with Journal.open(order.journal, KIND, order.header) as journal, note_beside(path) as note:
        if journal.repaired:
            tell(repaired=journal.repaired)
        failed = failures(journal.rows)
        visits = [Visit.from_row(row) for row in journal.rows if "visit" in row]
        telling, cooling = Telling(len(visits)), Cooling(order.max_celsius)

        def record(visit: Visit) -> None:
            journal.append(visit.as_row())
            telling.did()

        def watch(key: str) -> None:
            note(key)
            telling.alive()

        began = time.monotonic()
        reason = measure(
            [job for job in order.jobs if job.key not in failed],
            order.references,
            loader.load,
            record,
            settings=order.settings,
            visits=visits,
            watch=watch,
            rest=lambda: cooling.wait(telling.alive),
        )
        journal.append(
            {
                "ended": reason,
                "budget_seconds": order.settings.budget_seconds,
                "seconds": round(time.monotonic() - began - cooling.rested, 3),
                "provider": ",".join(sorted(loader.providers)),
            }
        )


class _Loader:
    """Loads engines as the order says and remembers what computed."""

    def __init__(self, order: Order) -> None:
        self._runtime = get_runtime(order.runtime)
        self._options = LoadOptions(
            order.threads, order.precision, shared_pool=True, batch=order.batch
        )
        self._precisions = {job.engine: job.precision for job in order.jobs if job.precision}
        self.providers: set[str] = set()

    @contextmanager
    def load(self, engine: Path) -> Iterator["_Called"]:
        precision = self._precisions.get(engine, self._options.precision)
        try:
            context = self._runtime.load(engine, replace(self._options, precision=precision))
            loaded = context.__enter__()
        except HwsearchError as error:
            raise EngineFailed(str(error)) from error
        self.providers.add(loaded.provider)
        try:
            yield _Called(loaded)
        finally:
            context.__exit__(None, None, None)


@dataclass(frozen=True)
class _Called:
    """A loaded engine; what it raises in a call ends the work on it alone."""

    engine: Engine

    @property
    def input_specs(self) -> tuple[TensorSpec, ...]:
        return self.engine.input_specs

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        try:
            return self.engine.window(feed, seconds)
        except Exception as error:
            raise EngineFailed(f"a call failed: {error}") from error


def _pin(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_to_measure(threads, os.sched_getaffinity(0)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
