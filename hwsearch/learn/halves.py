"""Two halves of the images: one teaches the weights, the other the gates."""

import numpy as np

from hwsearch.data.draws import permutation
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError

_SPLIT, _WEIGHTS, _GATES = range(3)
"""What an order is drawn for, so that draws of equal counters differ."""


class Halves:
    """Batches of which the first half is for the weights and the rest for the gates.

    Args:
        source: The images.
        batch: Images of each half of a batch.
        seed: Chooses halves and orders.

    Attributes:
        weights: Images that teach the weights, int64[N / 2].
        gates: Those that teach the gates; no image is in both.
        steps_per_epoch: Batches of each epoch.

    Raises:
        HwsearchError: If half of the images is less than a batch.
    """

    def __init__(self, source: Source, batch: int, seed: int) -> None:
        self._batch, self._seed = batch, seed
        half = len(source) // 2
        if half < batch:
            raise HwsearchError(
                f"half of {len(source)} images does not fill one step of {batch}",
                where=source.name,
                fix=f"Use --batch {max(half, 1)} or less",
            )
        order = permutation(len(source), seed, 0, _SPLIT)
        self.weights, self.gates = np.sort(order[:half]), np.sort(order[half : 2 * half])
        self.steps_per_epoch = half // batch

    def rows(self, epoch: int) -> np.ndarray:
        """Returns the images of each batch of an epoch, int64[steps, 2B]."""
        used = self.steps_per_epoch * self._batch
        halves = ((self.weights, _WEIGHTS), (self.gates, _GATES))
        return np.concatenate(
            [
                images[permutation(len(images), self._seed, epoch, which)][:used].reshape(
                    -1, self._batch
                )
                for images, which in halves
            ],
            axis=1,
        )
