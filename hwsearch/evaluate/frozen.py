"""Frozen features: what a network of a supernet says of labelled images, computed once."""

import numpy as np
import torch

from hwsearch.distance import SupernetStudents
from hwsearch.distance.images import TargetImages
from hwsearch.distance.students import pooled
from hwsearch.space import Subnet


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
