"""Features of very many images: on the disk, chunk by chunk, so that a stopped run goes on.

Shapes: N images of a source, E features.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from hwsearch.data.images import normalise, read_prepared
from hwsearch.data.sources import CorruptLog, Source
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.nn import StaticNet
from hwsearch.nn.place import Place, compute_repeatably
from hwsearch.progress import track

FILE = "features.npy"
CHUNK = 1024
"""Images that are read, computed and journaled together."""

_BATCH = 128


def write_features(
    source: Source,
    net: StaticNet,
    folder: Path,
    journal: Journal,
    *,
    place: Place,
    max_corrupt: float,
) -> np.ndarray:
    """Computes L2-normalised pooled features of all images; what an earlier run did stays.

    Args:
        source: The images.
        net: A calibrated network.
        folder: Holds the file of features.
        journal: Remembers how many images are done.
        place: Where the network computes.
        max_corrupt: Largest tolerated share of corrupt images.

    Returns:
        float32[N, E], a read-only memory map; NaN where an image cannot be read.

    Raises:
        HwsearchError: If too many images are corrupt, features are no numbers, or the disk is
            full.
    """
    shape, done = (len(source), net.embedding_width), _done(journal)
    path = folder / FILE
    if not done or not path.is_file():
        if done:
            journal.append({"features": 0})  # the file is gone, and a new one has none of them
        done = 0
        with _writing(path):
            np.lib.format.open_memmap(path, "w+", np.float32, shape).flush()
    compute_repeatably(place)
    log, net = CorruptLog(source, max_corrupt), net.to(place)
    with track("features", shape[0], start=done) as advance:
        for start in range(done, shape[0], CHUNK):
            rows = np.arange(start, min(start + CHUNK, shape[0]))
            _write(path, start, _features(source, rows, net, log, place))
            journal.append({"features": int(rows[-1]) + 1})
            advance(len(rows))
    return np.load(path, mmap_mode="r")


def _done(journal: Journal) -> int:
    return next((row["features"] for row in reversed(journal.rows) if "features" in row), 0)


def _write(path: Path, start: int, features_BE: np.ndarray) -> None:
    """Writes rows so that they are on the disk when this returns.

    Through a memory map a full disk would end the process without a word.
    """
    stored = np.load(path, mmap_mode="r")
    with _writing(path), path.open("r+b") as file:
        file.seek(stored.offset + start * stored.strides[0])
        file.write(features_BE.astype(stored.dtype).tobytes())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise HwsearchError(
            f"cannot write: {cause.strerror}",
            where=path,
            fix="Free some space and run the command again; it goes on from here",
        ) from cause


@torch.inference_mode()
def _features(
    source: Source, rows: np.ndarray, net: StaticNet, log: CorruptLog, place: Place
) -> np.ndarray:
    pixels_NCHW, readable_N = read_prepared(source, rows, net.lowered[0].in_side, log)
    inputs = (normalise(x.to(place)) for x in torch.from_numpy(pixels_NCHW).split(_BATCH))
    found = F.normalize(torch.cat([net(x_BCHW).embedding.cpu() for x_BCHW in inputs])).numpy()
    if not np.isfinite(found).all():
        raise HwsearchError(
            "some features are not finite", fix="Check the checkpoint; training may have diverged"
        )
    found[~readable_N] = np.nan
    return found
