"""NASWOT (arXiv 2006.04647): how differently an untrained network's activations split images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.distance.controls.instead import ACTIVATIONS, Instead
from hwsearch.distance.images import BATCH, TargetImages
from hwsearch.nn import StaticNet
from hwsearch.nn.place import Place
from hwsearch.space import Space, Subnet


class Naswot:
    """log |det K|, where K counts the activations on whose sign two images agree.

    Args:
        space: Of the networks.
        images: Of the target domain; the first `BATCH` of them are looked at.
        seed: Chooses the random weights.
        place: Where networks compute.
    """

    def __init__(
        self, space: Space, images: TargetImages, seed: int = 0, place: Place = "cpu"
    ) -> None:
        self._space, self._images, self._seed, self._place = space, images, seed, place

    def __call__(self, subnet: Subnet) -> float:
        """Returns the score of a network, higher is better."""
        net = fresh_network(self._space, subnet, self._seed).to(self._place)
        inputs = self._images.inputs(net.lowered[0].in_side, batch=BATCH, limit=BATCH)
        kernel_BB = agreement(net, torch.from_numpy(next(inputs)).to(self._place))
        return float(torch.linalg.slogdet(kernel_BB).logabsdet)


@torch.no_grad()
def agreement(net: StaticNet, x_BCHW: Tensor) -> Tensor:
    """Counts, for any two images, the activations that are on for both or off for both.

    Args:
        net: Runs under the statistics of the batch.
        x_BCHW: Normalised images.

    Returns:
        float64[B, B].
    """
    kernel_BB = x_BCHW.new_zeros(len(x_BCHW), len(x_BCHW), dtype=torch.float64)

    def count(func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        y = func(x, *args, **kwargs)
        on_BU = (y > 0).flatten(1).float()
        both_BB = on_BU @ on_BU.T
        counts_B = both_BB.diagonal()
        # (1 - a)·(1 - b) = U - |a| - |b| + a·b
        neither_BB = on_BU.shape[1] - counts_B[:, None] - counts_B[None] + both_BB
        kernel_BB.add_(both_BB + neither_BB)
        return y

    with Instead(ACTIVATIONS, count):
        net(x_BCHW)
    return kernel_BB
