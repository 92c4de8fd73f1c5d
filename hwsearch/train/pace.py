"""How fast a run goes, and whether it waits for images."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hwsearch.data.loader import Loader
from hwsearch.nn.processes import world
from hwsearch.progress import say

STARVED_SHARE = 0.2
"""Share of the time above which waiting for images is told."""
STARVED_SECONDS = 30.0
"""Time over which that share is taken."""
FIGURES = ("images_per_second", "loader_images_per_second", "waited_share")
"""What `Pace.lap` measures: it differs between runs that are equal in all else."""


class Pace:
    """Times the steps of a run; tells once if images come too slowly.

    Args:
        loader: Where the images come from.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader, self._times = loader, loader.times
        self._since = time.monotonic()
        self._seconds = self._waited_seconds = 0.0
        self._told = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves out the time of what is no step, such as a checkpoint."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began

    def lap(self) -> dict[str, float]:
        """Returns the figures since the lap before, for all processes if they are like this one.

        Returns:
            "images_per_second" of the run, "loader_images_per_second" that the loader could give,
            and "waited_share", the part of the time in which the run waited for images, 0 to 1.
        """
        now, done = time.monotonic(), self._loader.times - self._times
        seconds = max(now - self._since, 1e-9)
        self._since, self._times = now, self._loader.times
        capacity = self._loader.images_per_second(done) * world()
        self._watch(seconds, done.waited_seconds, capacity)
        figures = (done.images * world() / seconds, capacity, done.waited_seconds / seconds)
        return dict(zip(FIGURES, figures, strict=True))

    def _watch(self, seconds: float, waited_seconds: float, capacity: float) -> None:
        self._seconds += seconds
        self._waited_seconds += waited_seconds
        if self._told or self._seconds < STARVED_SECONDS:
            return
        share = self._waited_seconds / self._seconds
        self._seconds = self._waited_seconds = 0.0
        if share > STARVED_SHARE and (remedies := self._loader.remedies()):
            say(
                f"Training waits for images {share:.0%} of the time: the loader gives "
                f"{capacity:.0f} a second. Faster: {remedies}."
            )
            self._told = True
