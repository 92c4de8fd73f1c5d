"""Target images: unlabelled pictures of the domain, prepared for any input side on demand."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwsearch.data.draws import permutation
from hwsearch.data.images import load_images, read_prepared
from hwsearch.data.prepare import MEAN, STD, normalise_array
from hwsearch.data.sources import CorruptLog, Source, open_source
from hwsearch.errors import HwsearchError

BATCH = 64
"""Images looked at together, where nothing else is asked for."""

HELD_MB = 64
"""Floats of all images that are held for the next network if they take no more than this."""

FEWEST = 8
"""Images below which neither a distance nor statistics of batch norms mean anything."""


@dataclass(frozen=True, eq=False)
class TargetImages:
    """Unlabelled images of the domain that the engine will see, in a fixed random order.

    Any first part of them is a random sample: a source sorted by class must not give batches of
    one class to batch norms, nor to a distance that is told from a first part.

    Attributes:
        source: Where they are read from.
        indices: Which images of the source, all readable, int64[N].
        batch: Images that are looked at together; floats of all at once could fill the memory.
    """

    source: Source
    indices: np.ndarray
    batch: int = BATCH
    _prepared: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _held: dict[tuple[object, ...], np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def fingerprint(self) -> str:
        """Names the images and their order, whatever side they are prepared for."""
        kept = hashlib.sha256(self.indices.tobytes()).hexdigest()
        return hashlib.sha256(f"{self.source.fingerprint()}|{kept}".encode()).hexdigest()

    def prepared(self, side: int) -> np.ndarray:
        """Returns the images as a loaded engine prepares them; they are kept for each side.

        Args:
            side: Height and width in pixels.

        Returns:
            uint8[N, side, side, 3].
        """
        if side not in self._prepared:
            log = CorruptLog(self.source, max_share=0.0)
            pixels_NCHW, _ = read_prepared(self.source, self.indices, side, log)
            self._prepared[side] = pixels_NCHW.transpose(0, 2, 3, 1)
        return self._prepared[side]

    def inputs(
        self,
        side: int,
        *,
        mean: float | Sequence[float] = MEAN,
        std: float | Sequence[float] = STD,
        batch: int | None = None,
        limit: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields the images as a network of that side takes them, float32[B, 3, side, side].

        Small ones are held, for as many networks as there will be; do not write to them.

        Args:
            side: Height and width in pixels.
            mean: Subtracted from pixels scaled to 0 to 1, for all channels or for each.
            std: Divides the result, likewise.
            batch: Images at a time; `batch` of these images if None.
            limit: How many of the images, the first ones; all if None.
        """
        prepared, batch = self.prepared(side), batch or self.batch
        asked = prepared[:limit]
        held = self._all(prepared, mean, std)[:limit] if _can_hold(prepared) else None
        for start in range(0, len(asked), batch):
            rows = slice(start, start + batch)
            yield normalise_array(asked[rows], mean, std) if held is None else held[rows]

    def _all(
        self, prepared: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]
    ) -> np.ndarray:
        """Returns all images as a network takes them, float32[N, 3, side, side]."""
        key = prepared.shape, *np.ravel(mean), *np.ravel(std)
        if key not in self._held:
            self._held[key] = normalise_array(prepared, mean, std)
        return self._held[key]


def _can_hold(prepared: np.ndarray) -> bool:
    return np.dtype(np.float32).itemsize * prepared.size <= HELD_MB * 1e6


def load_target(source: str, side: int, *, limit: int | None = None) -> TargetImages:
    """Reads images of the target domain; corrupt ones are left out.

    Args:
        source: What `--images` takes: a folder, tar shards or a built-in set.
        side: Height and width in pixels that they are prepared for first.
        limit: Largest number of images; which are kept depends on the source alone.

    Raises:
        HwsearchError: If there are too few of them.
    """
    return target_of(open_source(source), side, limit=limit)


def target_of(source: Source, side: int, *, limit: int | None = None) -> TargetImages:
    """Reads target images from an open source; see `load_target`."""
    found = load_images(source, side, limit=limit)
    if len(found.indices) < FEWEST:
        raise HwsearchError(
            f"a distance needs {FEWEST} target images or more; there are {len(found.indices)}",
            where=source.name,
            fix="Give more --images: a few hundred make a distance that can be trusted",
        )
    order = permutation(len(found.indices))
    prepared = {side: found.images.permute(0, 2, 3, 1).numpy()[order]}
    return TargetImages(source, found.indices.numpy()[order], _prepared=prepared)
