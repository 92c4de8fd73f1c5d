"""What every distance has in common: lower is better, and a mean over the target images.

Shapes: B images of a batch, N all target images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.stopping import hopeless
from hwsearch.space import Subnet

Outputs = Sequence[np.ndarray]
"""What a delivered network or its engine gives for some images: its embedding, or a map a stage."""

Judge = Callable[[Subnet], float]
"""What orders networks without labels, lower is better: a distance, or a control of one."""


@dataclass(frozen=True)
class Estimate:
    """A distance, told from all images or from the first ones.

    Attributes:
        value: Mean over the images.
        images: How many were looked at.
        whole: Whether these are all.
    """

    value: float
    images: int
    whole: bool


class Distance(ABC):
    """Distance of networks to a teacher, on unlabelled images; 0 is the teacher itself.

    Where what is said of an image was learned from others, not even the teacher is at 0.

    Attributes:
        by_image: Whether the distance of one image does not depend on the others, so that the
            first ones give an estimate.
    """

    by_image: bool

    @abstractmethod
    def __len__(self) -> int:
        """Returns how many images there are."""

    @abstractmethod
    def rows(self, subnet: Subnet) -> Iterator[Tensor]:
        """Yields the distances of one network for each image, batch by batch, [B]."""

    def __call__(self, subnet: Subnet) -> float:
        """Returns the distance of a network, at least 0."""
        return self.estimate(subnet).value

    def estimate(self, subnet: Subnet, limit: float | None = None) -> Estimate:
        """Measures a network, until it is hopeless if a limit is given; see `stopping`.

        Args:
            subnet: The network.
            limit: Distance that it must not exceed to be of any use.
        """
        seen_N = torch.empty(0)
        with one_thread():
            for rows_B in self.rows(subnet):
                seen_N = torch.cat([seen_N, rows_B])
                if limit is not None and hopeless(seen_N.numpy(), len(self), limit):
                    break
        seen = len(seen_N)
        return Estimate(float(seen_N.mean()), seen, seen == len(self))


class DeliveredDistance(Distance):
    """A distance that an engine has as well, by what it gives.

    Attributes:
        of_maps: Whether feature maps are compared; else embeddings are.
    """

    of_maps: bool

    def for_network(self, subnet: Subnet) -> "DeliveredDistance":
        """Returns the distance that a network and its engines are judged by."""
        return self

    @abstractmethod
    def of_outputs(self, batches: Iterable[Outputs]) -> float:
        """Returns the distance of what was given for the target images.

        Args:
            batches: In the order and in the batches of the images.
        """


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes on one core: the last digits of a sum can depend on how many share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
