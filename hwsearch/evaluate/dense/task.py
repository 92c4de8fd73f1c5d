"""What a dense task asks of a head, whatever features it reads.

Shapes: B images of a batch, N all images, K outputs, G side of the head's map.
"""

from typing import Protocol

import numpy as np
from torch import Tensor

from hwsearch.distance.images import TargetImages
from hwsearch.evaluate.verdict import Verdict


class DenseTask(Protocol):
    """Detection or segmentation on a set of labelled images."""

    @property
    def target(self) -> TargetImages:
        """Returns the images."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names the images, their order and their labels."""
        ...

    @property
    def bias(self) -> Tensor:
        """Returns what each output of a head starts with, float[K]."""
        ...

    def loss(self, told_BKGG: Tensor, places: Tensor) -> Tensor:
        """Returns the loss of what a head tells of the images at some places, int64[B]."""
        ...

    def verdict(self, told_NKGG: np.ndarray) -> Verdict:
        """Judges what heads tell of all images."""
        ...
