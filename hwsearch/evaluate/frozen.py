"""Frozen features: what a network of a supernet says of labelled images, computed once."""

from collections.abc import Callable

import numpy as np
import torch

from hwsearch.distance import SupernetStudents
from hwsearch.distance.images import TargetImages
from hwsearch.distance.students import pooled
from hwsearch.evaluate.heads import Head, cross_fit
from hwsearch.evaluate.labelled import LabelledImages
from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.space import Subnet

Embed = Callable[[Subnet], np.ndarray]
"""From a network to its pooled features of labelled images, float32[N, E]."""


class FrozenFeatures:
    """Pooled features of networks as they come from the supernet; those of the last one are kept.

    Args:
        students: The networks, calibrated on the images that a distance looks at.
        images: What to compute features of.
    """

    def __init__(self, students: SupernetStudents, images: TargetImages) -> None:
        self._students, self._images = students, images
        self._last: tuple[Subnet, np.ndarray] | None = None

    def __call__(self, subnet: Subnet) -> np.ndarray:
        """Returns the pooled features of one network, float32[N, E]."""
        if self._last is None or self._last[0] != subnet:
            self._last = (subnet, self._compute(subnet))
        return self._last[1]

    @torch.inference_mode()
    def _compute(self, subnet: Subnet) -> np.ndarray:
        net = self._students.network(subnet)
        inputs = map(self._students.placed, self._images.inputs(net.lowered[0].in_side))
        return pooled(map(net, inputs))


def on_frozen(
    head: Head, embed: Embed, images: LabelledImages, folds: int
) -> Callable[[Subnet, int], ClassVerdict]:
    """Returns a judge by a head that learns on frozen features.

    Args:
        head: The head.
        embed: Computes the features.
        images: Labelled images.
        folds: Parts that they are split into, anew by each seed.
    """
    return lambda subnet, seed: cross_fit(
        head, embed(subnet), images.labels, images.folds(folds, seed)
    )
