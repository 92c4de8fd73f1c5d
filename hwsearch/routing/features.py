"""Features of very many images: on the disk, chunk by chunk, so that a stopped run goes on.

Shapes: N images of a source, E features.
"""

import os
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
        HwsearchError: If too many images are corrupt, or features are no numbers.
    """
    shape, done = (len(source), net.embedding_width), _done(journal)
    path = folder / FILE
    if not done or not path.is_file():
        done = 0
        np.lib.format.open_memmap(path, "w+", np.float32, shape).flush()
    compute_repeatably(place)
    log, net = CorruptLog(source, max_corrupt), net.to(place)
    with track("features", shape[0], start=done) as advance:
        for start in range(done, shape[0], CHUNK):
            rows = np.arange(start, min(start + CHUNK, shape[0]))
            _write(path, rows, _features(source, rows, net, log, place))
            journal.append({"features": int(rows[-1]) + 1})
            advance(len(rows))
    return np.load(path, mmap_mode="r")


def _done(journal: Journal) -> int:
    return max((row["features"] for row in journal.rows if "features" in row), default=0)


def _write(path: Path, rows: np.ndarray, features_BE: np.ndarray) -> None:
    """Writes rows so that they are on the disk when this returns."""
    stored = np.load(path, mmap_mode="r+")
    stored[rows] = features_BE
    stored.flush()
    with path.open("rb") as file:
        os.fsync(file.fileno())


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
