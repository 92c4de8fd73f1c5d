"""Reading one batch after the other: from memory, or by decoding, here or in worker processes."""

import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hwsearch.data.images import read_into, read_prepared
from hwsearch.data.sources import CorruptLog, Source
from hwsearch.errors import HwsearchError

_DEATHS = ("DataLoader worker", "Pin memory thread")
"""What torch names when a worker has died; the thread that pins batches dies with it."""


class Piece(NamedTuple):
    """What reading one batch gives.

    Attributes:
        indices: Position of each image in its source, int64[B]; of its stand-in if corrupt.
        images: uint8[B, 3, S, S].
        corrupt: Position and reason of each image that cannot be read.
        seconds: How long the reading took the process that did it.
    """

    indices: Tensor
    images: Tensor
    corrupt: list[tuple[int, str]]
    seconds: float


class WorkerDied(HwsearchError):
    """A process that decodes images ended before its time."""


class Held(Dataset):
    """All images of a source in memory, uint8[N, 3, S, S]; a readable one for each corrupt one.

    Args:
        source: The images.
        side: Height and width in pixels.
        log: Where corrupt images are counted; it may stop the reading.
    """

    def __init__(self, source: Source, side: int, log: CorruptLog) -> None:
        everything = np.arange(len(source))
        pixels, readable = read_prepared(source, everything, side, log)
        good = np.flatnonzero(readable)
        self._stand_in = torch.from_numpy(good[np.searchsorted(good, everything) % len(good)])
        self._images = torch.from_numpy(pixels)

    def __getitem__(self, row: np.ndarray) -> Piece:
        """Copies the images of one batch, int64[B]."""
        started = time.perf_counter()
        indices = self._stand_in[torch.from_numpy(row)]
        images = self._images[indices]
        return Piece(indices, images, [], time.perf_counter() - started)


class Decoded(Dataset):
    """Batches decoded when they are asked for, maybe in a worker, which reports and never stops.

    Args:
        source: The images.
        side: Height and width in pixels.
        max_corrupt_share: Share of corrupt images past which the run will stop.
    """

    def __init__(self, source: Source, side: int, max_corrupt_share: float) -> None:
        self._source, self._side = source, side
        self._max_corrupt = max_corrupt_share * len(source)

    def __getitem__(self, row: np.ndarray) -> Piece:
        """Decodes the images of one batch, int64[B]."""
        started, side = time.perf_counter(), self._side
        indices, images = row.copy(), np.zeros((len(row), 3, side, side), dtype=np.uint8)
        corrupt: dict[int, str] = {}
        unread = np.arange(len(row))
        # Past the tolerated share the run stops when it hears of this batch, so reading on is vain.
        while len(unread) and len(corrupt) <= self._max_corrupt:
            pixels = np.zeros((len(unread), 3, side, side), dtype=np.uint8)
            failed = read_into(self._source, indices[unread].tolist(), pixels)
            images[unread] = pixels
            corrupt |= {int(indices[unread[position]]): reason for position, reason in failed}
            unread = unread[[position for position, _ in failed]]
            indices[unread] = (indices[unread] + 1) % len(self._source)
        return Piece(
            torch.from_numpy(indices),
            torch.from_numpy(images),
            list(corrupt.items()),
            time.perf_counter() - started,
        )


def read_all(
    reader: Held | Decoded, rows: Iterable[np.ndarray], *, workers: int, pinned: bool
) -> Iterator[Piece]:
    """Reads batches in order; workers read ahead as long as there are rows.

    Args:
        reader: What reads one batch.
        rows: The images of each batch, int64[B] each; may be endless.
        workers: Processes that read; 0 reads in this one, when asked.
        pinned: Put the batches where a GPU fetches them while it computes.

    Raises:
        WorkerDied: From the iterator, if a worker was killed.
    """
    if not workers:
        return map(reader.__getitem__, rows)
    with warnings.catch_warnings():
        # More workers than cores are the user's own wish: images may come over a slow network.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = DataLoader(
            reader,
            batch_size=None,
            sampler=rows,  # pyright: ignore[reportArgumentType]  # any iterable of keys will do
            num_workers=workers,
            pin_memory=pinned,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_interrupts_to_the_run,
            # Otherwise it would take a number from the run's own random state.
            generator=torch.Generator(),
        )
        return _watched(_start(loader))


def _start(loader: DataLoader[Any]) -> Iterator[Piece]:
    """Starts the workers, without torch's handler that raises anywhere when one of them dies.

    A dead worker is then noticed where the next batch is asked for, and never tears a step.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    pieces = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    return pieces


def _watched(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Tells in one line that a worker died: by torch's word, or by what broke off with it."""
    try:
        yield from pieces
    except (RuntimeError, EOFError, OSError) as cause:
        if isinstance(cause, RuntimeError) and not any(word in str(cause) for word in _DEATHS):
            raise
        raise WorkerDied(
            "a process that decodes images was killed, maybe for want of memory",
            fix="Go on with --resume and fewer --workers (0: none), or give containers more "
            "shared memory (docker run --shm-size)",
        ) from cause


def _leave_interrupts_to_the_run(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the run finishes its step and ends workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(piece: Any) -> Any:  # noqa: ANN401  # called with one piece, not a list
    return piece
