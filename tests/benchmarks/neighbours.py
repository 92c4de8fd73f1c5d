"""Neighbours: processes that keep some cores busy while something is measured."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

SPIN = """
import numpy
a = numpy.ones((1024, 1024), numpy.float32)
while True:
    a @ a
"""
"""Work of a neighbour: 12 MB of matrices, so that shared caches feel it too."""

Cores = Sequence[int]


SETTLE_SECONDS = 1.0
"""Starting Python is other work than what follows."""


def places(threads: int) -> dict[str, tuple[Cores, ...]]:
    """Returns named conditions: the cores that each busy process may use.

    Args:
        threads: hwsearch measures on the last cores, as many as these.
    """
    every = sorted(os.sched_getaffinity(0))
    others = every[:-threads] or every
    return {
        "quiet": (),
        "neighbour": (others[-1:],),
        "floating": (every,),
        "crowded": (every,) * len(every),
    }


@contextmanager
def busy(neighbours: Sequence[Cores]) -> Iterator[None]:
    """Runs a process for each neighbour until the context ends."""
    with ExitStack() as stack:
        for cores in neighbours:
            stack.enter_context(_spinning(cores))
        time.sleep(SETTLE_SECONDS if neighbours else 0.0)
        yield


@contextmanager
def _spinning(cores: Cores) -> Iterator[None]:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", SPIN], env=environment)
    try:
        os.sched_setaffinity(process.pid, cores)
        yield
        assert process.poll() is None, "the neighbour has ended by itself"
    finally:
        process.kill()
        process.wait()
