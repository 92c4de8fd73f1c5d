"""Target images: unlabelled pictures of the domain, prepared for any input side on demand."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwsearch.data.images import load_images, read_prepared
from hwsearch.data.prepare import MEAN, STD, normalise_array
from hwsearch.data.sources import CorruptLog, Source, open_source

BATCH = 256
"""Images normalised at a time: floats of all of them at once could fill the memory."""


@dataclass(frozen=True, eq=False)
class TargetImages:
    """Unlabelled images of the domain that the engine will see.

    Attributes:
        source: Where they are read from.
        indices: Which images of the source, all readable, int64[N].
    """

    source: Source
    indices: np.ndarray
    _prepared: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def fingerprint(self) -> str:
        """Names the images, whatever side they are prepared for."""
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
    ) -> Iterator[np.ndarray]:
        """Yields the images as a network of that side takes them, float32[B, 3, side, side].

        Args:
            side: Height and width in pixels.
            mean: Subtracted from pixels scaled to 0 to 1, for all channels or for each.
            std: Divides the result, likewise.
        """
        images = self.prepared(side)
        for start in range(0, len(images), BATCH):
            yield normalise_array(images[start : start + BATCH], mean=mean, std=std)


def load_target(source: str, side: int, *, limit: int | None = None) -> TargetImages:
    """Reads images of the target domain; corrupt ones are left out.

    Args:
        source: What `--images` takes: a folder, tar shards or a built-in set.
        side: Height and width in pixels that they are prepared for first.
        limit: Largest number of images; which are kept depends on the source alone.
    """
    opened = open_source(source)
    found = load_images(opened, side, limit=limit)
    prepared = {side: found.images.permute(0, 2, 3, 1).numpy()}
    return TargetImages(opened, found.indices.numpy(), prepared)
