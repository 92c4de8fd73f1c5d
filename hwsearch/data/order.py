"""Which images each batch of an epoch has: a function of (seed, epoch), so resuming is exact."""

from typing import Protocol

import numpy as np

from hwsearch.data.draws import permutation
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError


class Order(Protocol):
    """Draws the images of batches."""

    @property
    def steps_per_epoch(self) -> int:
        """Returns how many batches each epoch has."""
        ...

    def rows(self, epoch: int) -> np.ndarray:
        """Returns the images of each batch of an epoch, int64[steps, B]."""
        ...


class Shuffled:
    """Every image once an epoch, in an order of its own; an incomplete last batch is dropped.

    Args:
        source: The images.
        batch: Images of a batch.
        seed: Chooses the order.

    Attributes:
        steps_per_epoch: Batches of each epoch.

    Raises:
        HwsearchError: If there are fewer images than one batch takes.
    """

    def __init__(self, source: Source, batch: int, seed: int) -> None:
        self._images, self._batch, self._seed = len(source), batch, seed
        self.steps_per_epoch = steps_of(source, batch)

    def rows(self, epoch: int) -> np.ndarray:
        """Returns the images of each batch of an epoch, int64[steps, B]."""
        order = permutation(self._images, self._seed, epoch)
        return order[: self.steps_per_epoch * self._batch].reshape(-1, self._batch)


def steps_of(source: Source, batch: int) -> int:
    """Returns how many batches a pass over the images has.

    Raises:
        HwsearchError: If there are fewer images than one batch takes.
    """
    if len(source) < batch:
        raise HwsearchError(
            f"{len(source)} images do not fill one step of {batch}",
            where=source.name,
            fix=f"Use --batch {len(source)} or less",
        )
    return len(source) // batch
