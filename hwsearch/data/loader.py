"""Batches for training, read ahead; a loader goes on exactly where another stood."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil

import numpy as np
from torch import Tensor

from hwsearch.data.order import Order, Shuffled
from hwsearch.data.reading import Decoded, Held, Piece, read_all
from hwsearch.data.sources import CorruptImage, CorruptLog, Source
from hwsearch.device import usable_cores
from hwsearch.errors import HwsearchError

_MOST_WORKERS = 16


@dataclass(frozen=True)
class LoaderOptions:
    """How images become batches."""

    batch: int = 256
    """Images a step, over all processes."""
    side: int = 32
    """Height and width of the stored image in pixels; crops are taken from it."""
    seed: int = 0
    """Chooses the order of the images."""
    workers: int | None = None
    """Processes that decode (0: the run itself does); by default as many as suit the machine."""
    cache_mb: int = 512
    """Images that fit into so many megabytes are decoded once and held in memory."""
    max_corrupt_share: float = 0.01
    """Share of images that may be corrupt before the run stops."""
    gpu: bool = False
    """The batches go to a GPU, so the cores are free to decode."""

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("side", 1), ("cache_mb", 0)):
            value = getattr(self, name)
            if value < least:
                flag = name.replace("_", "-")
                raise HwsearchError(f"--{flag} {value} is too small", fix=f"Use {least} or more")
        if self.workers is not None and self.workers < 0:
            raise HwsearchError(f"--workers {self.workers} is negative", fix="Use 0 or more")
        if not 0 <= self.max_corrupt_share < 1:
            raise HwsearchError(
                f"--max-corrupt-share {self.max_corrupt_share} is not a share below 1",
                fix="Use 0 to 0.99",
            )


@dataclass(frozen=True)
class Batch:
    """One step's images.

    Attributes:
        indices: Position of each image in its source, int64[B]; of its stand-in if corrupt.
        images: uint8[B, 3, S, S].
        epoch: The pass over the data that the batch belongs to.
    """

    indices: Tensor
    images: Tensor
    epoch: int


@dataclass(frozen=True)
class LoaderTimes:
    """What a loader has done so far.

    Attributes:
        images: Images handed out.
        reading_seconds: Time that reading them took the processes that did it, together.
        waited_seconds: Time that the run waited for them.
    """

    images: int = 0
    reading_seconds: float = 0.0
    waited_seconds: float = 0.0

    def __sub__(self, earlier: "LoaderTimes") -> "LoaderTimes":
        return LoaderTimes(
            self.images - earlier.images,
            self.reading_seconds - earlier.reading_seconds,
            self.waited_seconds - earlier.waited_seconds,
        )


class Loader:
    """Yields the rest of an epoch's batches each time it is iterated, then moves to the next.

    A corrupt image is replaced by the next readable one. Where the images fit into
    `cache_mb` they are decoded once, at the start; otherwise worker processes decode them,
    ahead of the run and across the ends of epochs.

    Args:
        source: The images.
        options: Sizes and seed.
        rank: Which of the processes that train together this one is.
        world: How many processes train together; each step's images are dealt to them in turn,
            so that a step has the same images however many there are.
        order: Which images each batch has; all of them in a random order by default.

    Attributes:
        epoch: The pass that the next batch belongs to.
        step: Batches of that pass that were already handed out.
        steps_per_epoch: Batches of each pass.
        times: What was done so far.

    Raises:
        HwsearchError: If there are fewer images than one step takes, or too many are corrupt.
    """

    def __init__(
        self,
        source: Source,
        options: LoaderOptions,
        *,
        rank: int = 0,
        world: int = 1,
        order: Order | None = None,
    ) -> None:
        self._source, self._options = source, options
        self._rank, self._world = rank, world
        self.epoch = self.step = 0
        self._order = order or Shuffled(source, options.batch, options.seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        self._log = CorruptLog(source, options.max_corrupt_share)
        self.times = LoaderTimes()
        self._in_memory = self._held_mb <= options.cache_mb
        self._reader = (
            Held(source, options.side, self._log)
            if self._in_memory
            else Decoded(source, options.side, options.max_corrupt_share)
        )
        self._pieces: Iterator[Piece] | None = None

    @property
    def _held_mb(self) -> float:
        return len(self._source) * 3 * self._options.side**2 / 1e6

    @property
    def workers(self) -> int:
        """How many processes decode; 0 where images are held in memory or cores are few."""
        if self._in_memory:
            return 0
        if self._options.workers is not None:
            return self._options.workers
        cores = self._cores
        if self._options.gpu:
            return max(1, min(cores, _MOST_WORKERS))
        return 0 if cores <= 2 else min(cores - 1, _MOST_WORKERS)

    @property
    def _cores(self) -> int:
        """This process's share; torchrun tells how many of them are on this machine."""
        return usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", self._world))

    def images_per_second(self, times: LoaderTimes) -> float:
        """Returns how many images a second all workers could give, from what they did in a time."""
        return times.images * max(self.workers, 1) / max(times.reading_seconds, 1e-9)

    def remedies(self) -> str:
        """Says, in the words of the command line, what would make reading faster, if anything."""
        if self._in_memory:
            return ""
        found = [f"--cache-mb {ceil(self._held_mb)} to decode once and hold all images in memory"]
        if self.workers < self._cores:
            found.append(f"--workers {self._cores}")
        side = self._options.side
        with suppress(CorruptImage):
            if min(self._source.image(0).shape[:2]) > 2 * side:
                found.append(f"images stored smaller ({side} pixels are used)")
        return ", or ".join(found)

    def __iter__(self) -> Iterator[Batch]:
        if self._pieces is None:
            rows = _rows(self._order, self.epoch, self.step, self._rank, self._world)
            self._pieces = read_all(
                self._reader, rows, workers=self.workers, pinned=self._options.gpu
            )
        while self.step < self.steps_per_epoch:
            asked = time.perf_counter()
            piece = next(self._pieces)
            self._count(piece, time.perf_counter() - asked)
            self.step += 1
            yield Batch(piece.indices, piece.images, self.epoch)
        self.epoch, self.step = self.epoch + 1, 0

    @property
    def corrupt(self) -> tuple[int, ...]:
        """Positions of the corrupt images that this process has met or heard of."""
        return self._log.indices

    def hear_of_corrupt(self, indices: Iterable[int]) -> None:
        """Counts the corrupt images that any process has met: each meets only its own.

        Raises:
            HwsearchError: If they are too many.
        """
        self._log.hear(indices)

    def close(self) -> None:
        """Ends the workers; the next iteration starts them anew."""
        self._pieces = None

    def _count(self, piece: Piece, waited_seconds: float) -> None:
        for index, reason in piece.corrupt:
            self._log.add(index, reason)
        self.times = LoaderTimes(
            self.times.images + len(piece.indices),
            self.times.reading_seconds + piece.seconds,
            self.times.waited_seconds + waited_seconds,
        )

    def state_dict(self) -> dict[str, object]:
        """Returns where the loader stands, fit for JSON, after the last batch handed out."""
        return {"epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes to where another loader of the same images and options stood."""
        self.close()
        self.epoch, self.step = int(str(state["epoch"])), int(str(state["step"]))


def _rows(order: Order, epoch: int, step: int, rank: int, world: int) -> Iterator[np.ndarray]:
    """Yields one process's images of each batch from a step on, int64[B] each, without end.

    It knows nothing of the loader: in a cycle of references workers would end late, by timeout.
    """
    while True:
        yield from order.rows(epoch)[step:, rank::world]
        epoch, step = epoch + 1, 0
