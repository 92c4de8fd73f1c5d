"""Batches for training whose order is a function of (seed, epoch), so resuming is exact."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hwsearch.data.draws import permutation
from hwsearch.data.images import read_into, read_prepared
from hwsearch.data.sources import CorruptLog, Source
from hwsearch.errors import HwsearchError

_MOST_WORKERS = 8


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


class Loader:
    """Yields the rest of an epoch's batches each time it is iterated, then moves to the next.

    Each epoch visits the images in an order of its own; the last, incomplete batch is dropped.
    A corrupt image is replaced by the next readable one. Where the images fit into
    `cache_mb` they are decoded once, at the start; otherwise worker processes decode them.

    Args:
        source: The images.
        options: Sizes and seed.
        rank: Which of the processes that train together this one is.
        world: How many processes train together; each step's images are dealt to them in turn,
            so that a step has the same images however many there are.

    Attributes:
        epoch: The pass that the next batch belongs to.
        step: Batches of that pass that were already handed out.
        steps_per_epoch: Batches of each pass.

    Raises:
        HwsearchError: If there are fewer images than one step takes, or too many are corrupt.
    """

    def __init__(
        self, source: Source, options: LoaderOptions, *, rank: int = 0, world: int = 1
    ) -> None:
        self._source, self._options = source, options
        self._rank, self._world = rank, world
        self.epoch = self.step = 0
        self.steps_per_epoch = len(source) // options.batch
        if self.steps_per_epoch == 0:
            raise HwsearchError(
                f"{len(source)} images do not fill one step of {options.batch}",
                where=source.name,
                fix=f"Use --batch {len(source)} or less",
            )
        self._log = CorruptLog(source, options.max_corrupt_share)
        self._handed_out, self._waited_seconds = 0, 0.0
        in_memory = len(source) * 3 * options.side**2 <= options.cache_mb * 1e6
        self._held = _Held(source, options.side, self._log) if in_memory else None

    @property
    def workers(self) -> int:
        """How many processes decode; 0 where images are held in memory or cores are few."""
        if self._held is not None:
            return 0
        if self._options.workers is not None:
            return self._options.workers
        cores = (os.cpu_count() or 1) // self._world
        return 0 if cores <= 2 else min(cores - 1, _MOST_WORKERS)

    @property
    def images_per_second(self) -> float:
        """Images handed out for each second that the run waited for them."""
        return self._handed_out / max(self._waited_seconds, 1e-9)

    def __iter__(self) -> Iterator[Batch]:
        pieces = iter(self._pieces(self._rows()))
        while self.step < self.steps_per_epoch:
            asked = time.perf_counter()
            piece = next(pieces)
            self._waited_seconds += time.perf_counter() - asked
            for index, reason in piece.corrupt:
                self._log.add(index, reason)
            self._handed_out += len(piece.indices)
            self.step += 1
            yield Batch(piece.indices, piece.images, self.epoch)
        self.epoch, self.step = self.epoch + 1, 0

    def _rows(self) -> list[np.ndarray]:
        """Returns this process's images of each batch left in the epoch, int64[B] each."""
        batch, steps = self._options.batch, self.steps_per_epoch
        order = permutation(len(self._source), self._options.seed, self.epoch)
        whole = order[: steps * batch].reshape(steps, batch)
        return list(whole[self.step :, self._rank :: self._world])

    def _pieces(self, rows: list[np.ndarray]) -> Iterable["_Piece"]:
        if self._held is not None:
            return map(self._held.__getitem__, rows)
        reader = _Reader(self._source, self._options)
        if not self.workers:
            return map(reader.__getitem__, rows)
        return DataLoader(
            reader,
            batch_size=None,
            sampler=rows,  # pyright: ignore[reportArgumentType]  # any iterable of keys will do
            num_workers=self.workers,
            collate_fn=_as_it_is,
            # Otherwise each epoch would take a number from the run's own random state.
            generator=torch.Generator(),
        )

    def state_dict(self) -> dict[str, object]:
        """Returns where the loader stands, fit for JSON, after the last batch handed out."""
        return {**self._identity(), "epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes to where another loader stood.

        Raises:
            HwsearchError: If that loader had other images or options that change the order.
        """
        changed = [name for name, value in self._identity().items() if state.get(name) != value]
        if changed:
            raise HwsearchError(
                f"the checkpoint was made with other data or options: {', '.join(changed)}",
                where=self._source.name,
                fix="Resume with what the run was started with, or start a new run with --out",
            )
        self.epoch, self.step = int(str(state["epoch"])), int(str(state["step"]))

    def _identity(self) -> dict[str, object]:
        options = self._options
        return {
            "images": self._source.fingerprint(),
            "batch": options.batch,
            "side": options.side,
            "seed": options.seed,
        }


class _Piece(NamedTuple):
    """What reading one batch gives: its images, and position and reason of corrupt ones."""

    indices: Tensor
    images: Tensor
    corrupt: list[tuple[int, str]]


class _Held:
    """All images of a source in memory, uint8[N, 3, S, S]."""

    def __init__(self, source: Source, side: int, log: CorruptLog) -> None:
        everything = np.arange(len(source))
        pixels, readable = read_prepared(source, everything, side, log)
        good = np.flatnonzero(readable)
        self._stand_in = torch.from_numpy(good[np.searchsorted(good, everything) % len(good)])
        self._images = torch.from_numpy(pixels)

    def __getitem__(self, row: np.ndarray) -> _Piece:
        indices = self._stand_in[torch.from_numpy(row)]
        return _Piece(indices, self._images[indices], [])


class _Reader(Dataset):
    """Decodes one batch at a time; runs in a worker process, so it reports and never stops."""

    def __init__(self, source: Source, options: LoaderOptions) -> None:
        self._source, self._options = source, options

    def __getitem__(self, row: np.ndarray) -> _Piece:
        total, side = len(self._source), self._options.side
        indices, images = row.copy(), np.zeros((len(row), 3, side, side), dtype=np.uint8)
        corrupt: dict[int, str] = {}
        unread = np.arange(len(row))
        # Past the tolerated share the run stops when it hears of this batch, so reading on is vain.
        while len(unread) and len(corrupt) <= self._options.max_corrupt_share * total:
            pixels = np.zeros((len(unread), 3, side, side), dtype=np.uint8)
            failed = read_into(self._source, indices[unread].tolist(), pixels)
            images[unread] = pixels
            corrupt |= {int(indices[unread[position]]): reason for position, reason in failed}
            unread = unread[[position for position, _ in failed]]
            indices[unread] = (indices[unread] + 1) % total
        return _Piece(torch.from_numpy(indices), torch.from_numpy(images), list(corrupt.items()))


def _as_it_is(piece: Any) -> Any:  # noqa: ANN401  # called with one piece, not a list
    return piece
