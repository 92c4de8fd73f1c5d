"""Images as one tensor, un-augmented: what evaluation, calibration and distances see."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwsearch.data.draws import permutation
from hwsearch.data.prepare import MEAN, STD, prepare
from hwsearch.data.sources import CorruptImage, CorruptLog, Source
from hwsearch.device import usable_cores
from hwsearch.errors import HwsearchError
from hwsearch.progress import track

_CHUNK = 64
_BAR_FROM = 5000
"""Images from which on reading takes long enough to show how far it is."""


@dataclass(frozen=True)
class ImageSet:
    """Prepared images of a source, in the order of the source.

    Attributes:
        images: uint8[N, 3, S, S].
        labels: Class of each image, -1 where it has none, int64[N].
        indices: Position of each image in its source, int64[N].
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


def normalise(images: Tensor) -> Tensor:
    """Turns prepared images uint8[B, 3, S, S] into a network's input, float32 of that shape."""
    return images.float().div_(255).sub_(MEAN).div_(STD)


def load_images(
    source: Source,
    side: int,
    *,
    limit: int | None = None,
    seed: int = 0,
    max_corrupt_share: float = 0.01,
) -> ImageSet:
    """Reads a source, or a seeded part of it, without augmentation; corrupt images are left out.

    Args:
        source: The images.
        side: Height and width of the result in pixels; see `prepare`.
        limit: Largest number of images; a smaller limit gives a subset of a larger one's.
        seed: Chooses which images a limit keeps.
        max_corrupt_share: Largest tolerated share of corrupt images in the source, 0 to 1.

    Raises:
        HwsearchError: If too many images are corrupt.
    """
    kept = np.sort(permutation(len(source), seed)[:limit])
    log = CorruptLog(source, max_corrupt_share)
    pixels, readable = read_prepared(source, kept, side, log)
    kept, pixels = kept[readable], pixels if readable.all() else pixels[readable]
    labels = [source.label(int(index)) for index in kept]
    return ImageSet(
        images=torch.from_numpy(pixels),
        labels=torch.tensor([-1 if label is None else label for label in labels]),
        indices=torch.from_numpy(kept),
    )


def read_prepared(
    source: Source, indices: np.ndarray, side: int, log: CorruptLog
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes and prepares images in as many threads as there are usable cores.

    Args:
        source: The images.
        indices: Which of them, int64[N].
        side: Height and width of the result in pixels.
        log: Where corrupt images are counted; it may stop the reading.

    Returns:
        uint8[N, 3, side, side] and, for each image, whether it could be read, bool[N].

    Raises:
        HwsearchError: If too many images are corrupt.
    """
    pixels = np.zeros((len(indices), 3, side, side), dtype=np.uint8)
    readable = np.ones(len(indices), dtype=bool)

    def read(start: int) -> list[tuple[int, str]]:
        chunk = slice(start, start + _CHUNK)
        failed = read_into(source, indices[chunk].tolist(), pixels[chunk])
        return [(start + position, reason) for position, reason in failed]

    slow = len(indices) >= _BAR_FROM
    bar = track("read images", len(indices)) if slow else nullcontext(lambda steps: None)
    with ThreadPoolExecutor(usable_cores()) as threads, bar as advance:
        try:
            starts = range(0, len(indices), _CHUNK)
            for start, failed in zip(starts, threads.map(read, starts), strict=True):
                for position, reason in failed:
                    readable[position] = False
                    log.add(int(indices[position]), reason)
                advance(min(_CHUNK, len(indices) - start))
        except HwsearchError:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return pixels, readable


def read_into(source: Source, indices: Sequence[int], out: np.ndarray) -> list[tuple[int, str]]:
    """Decodes and prepares images into uint8[N, 3, S, S].

    Returns:
        Position in `indices`, and reason, of each image that is corrupt.
    """
    failed = []
    for position, index in enumerate(indices):
        try:
            out[position] = prepare(source.image(index), out.shape[-1]).transpose(2, 0, 1)
        except CorruptImage as cause:
            failed.append((position, cause.reason))
    return failed
