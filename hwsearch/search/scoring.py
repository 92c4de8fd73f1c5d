"""Where subnets are scored: in this process, in a pool of them, or on a Ray cluster."""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from hwsearch.device import free_memory, usable_cores
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.progress import console
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.objectives import Score, one_by_one
from hwsearch.search.options import SearchOptions
from hwsearch.search.pool import Pool
from hwsearch.space import Subnet

PATIENCE_SECONDS = 10.0
"""Scoring here this long before processes are started, which takes about as long on two cores."""


@dataclass(frozen=True)
class OpenDistance:
    """Opens the distance of a search anew, in another process or on another machine.

    Attributes:
        options: Of the search, with absolute paths.
        origin: The header of its journal, as text: what is opened must be the same.
    """

    options: SearchOptions
    origin: str

    @classmethod
    def of(cls, inputs: SearchInputs) -> "OpenDistance":
        """Describes what a search has opened."""
        return cls(inputs.options, json.dumps(inputs.header(), sort_keys=True))

    def __call__(self) -> Callable[[Subnet], float]:
        """Opens checkpoint, images and the teacher's embeddings.

        Raises:
            HwsearchError: If something is missing here, or is not what the search began with.
        """
        torch.set_num_threads(1)
        console.quiet = True  # the search itself has told what images it left out
        inputs = open_inputs(self.options)
        here = json.loads(json.dumps(inputs.header()))
        if changed := differing_fields(json.loads(self.origin), here):
            raise HwsearchError(
                f"a scoring process found other inputs than the search ({'; '.join(changed)})",
                fix="Leave them as they are while a search runs, and give all machines the same",
            )
        return inputs.distance()


class WhenItPays:
    """Scores in this process at first, and in several once the search turns out to be long.

    Args:
        here: Scores in this process.
        pool: Starts the processes, once.
    """

    def __init__(self, here: Score, pool: Callable[[], Score]) -> None:
        self._here, self._start, self._pool, self._seconds = here, pool, None, 0.0

    def __call__(self, subnets: Sequence[Subnet]) -> Iterator[tuple[int, float]]:
        """Yields a place among the subnets and its distance, in the order they are finished."""
        if self._seconds >= PATIENCE_SECONDS:
            self._pool = self._pool or self._start()
            yield from self._pool(subnets)
            return
        begin = time.monotonic()
        yield from self._here(subnets)
        self._seconds += time.monotonic() - begin


def suitable_processes(batch: int) -> int:
    """Returns how many processes suit the cores, the free memory and the networks of a batch."""
    unit = 1 if sys.platform == "darwin" else 1024
    each = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    free = free_memory()
    fitting = usable_cores() if free is None else free // each
    return max(1, min(usable_cores(), batch, fitting))


@contextmanager
def open_score(inputs: SearchInputs) -> Iterator[Score]:
    """Opens what scores the subnets of a search; processes end with the context.

    The teacher's embeddings are computed before, and read by every process.
    """
    options, here = inputs.options, one_by_one(inputs.distance())
    opened = OpenDistance.of(inputs)
    with ExitStack() as stack:

        def pool() -> Score:
            processes = options.processes or suitable_processes(options.batch)
            return here if processes == 1 else stack.enter_context(Pool(opened, processes))

        if options.ray:
            from hwsearch.search.ray_tasks import RayTasks

            yield stack.enter_context(RayTasks(opened, options.ray, options.processes))
        elif options.processes is None:
            yield here if inputs.students.place == "cuda" else WhenItPays(here, pool)
        else:
            yield pool()
