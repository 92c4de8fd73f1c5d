"""A search by invented distances that can be killed: `python scored.py JOURNAL pool|ray|here`.

Every distance that was computed is a line of the log beside the journal.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.search.objectives import RememberedDistance, Score, one_by_one
from hwsearch.search.pareto_search import pareto_search
from hwsearch.search.pool import Distance, Pool
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")
TOP = sum(SPACE.encode(SPACE.maximum))
NETWORKS = 40


def share(subnet: Subnet) -> float:
    return float(sum(SPACE.encode(subnet)) / TOP)


def opened(log: Path) -> Distance:
    """Slower for some networks, so that they are finished out of order."""

    def distance(subnet: Subnet) -> float:
        time.sleep(0.01 + 0.04 * (sum(SPACE.encode(subnet)) % 2))
        with log.open("a") as file:
            file.write(f"{os.getpid()} {subnet}\n")
        return 1 - share(subnet) ** 0.7

    return distance


def opened_deadly(victim: Subnet) -> Distance:
    def distance(subnet: Subnet) -> float:
        if subnet == victim:
            os.kill(os.getpid(), 9)
        return share(subnet)

    return distance


def opened_nowhere() -> Distance:
    raise HwsearchError("nothing to open", where="here", fix="Look there")


def opened_never() -> Distance:
    os.kill(os.getpid(), 9)
    raise AssertionError


def latency(codes: np.ndarray) -> np.ndarray:
    return SPACE.macs(codes) / 1e7


@contextmanager
def score_of(how: str, log: Path) -> Iterator[Score]:
    if how == "here":
        yield one_by_one(opened(log))
    elif how == "pool":
        with Pool(partial(opened, log), 2) as pool:
            yield pool
    else:
        from hwsearch.search.ray_tasks import RayTasks

        with RayTasks(partial(opened, log), "local", 2) as tasks:
            yield tasks


def search(path: Path, how: str, on_row: Callable[..., None] = lambda note: None) -> None:
    with (
        Journal.open(path, "search", {"space": SPACE.name}) as journal,
        score_of(how, path.with_suffix(".log")) as score,
        RememberedDistance(SPACE, journal, score, {"t": latency}, on_row) as known,
    ):
        pareto_search(SPACE, known, [latency], evaluations=NETWORKS)


if __name__ == "__main__":
    search(Path(sys.argv[1]), sys.argv[2])
