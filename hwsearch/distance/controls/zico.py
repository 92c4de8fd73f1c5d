"""ZiCo (arXiv 2301.11300): how large and how steady an untrained network's gradients are."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn

from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.distance.controls.views import views_of
from hwsearch.distance.images import BATCH, TargetImages
from hwsearch.nn import StaticNet
from hwsearch.nn.place import Place
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.losses import nt_xent
from hwsearch.space import Space, Subnet

BATCHES = 2
"""Batches whose gradients are compared, as in the paper's code."""

TEMPERATURE = 0.2


class ZiCo:
    """Σ over layers of log Σ over weights of mean |g| / deviation of |g| over batches.

    The paper's loss needs labels; here it is SimCLR's, of two views of each image.

    Args:
        space: Of the networks.
        images: Of the target domain; the first two batches are looked at.
        seed: Chooses the random weights and the views.
        place: Where networks compute.
    """

    def __init__(
        self, space: Space, images: TargetImages, seed: int = 0, place: Place = "cpu"
    ) -> None:
        self._space, self._images, self._seed = space, images, seed
        self._place: Place = place
        self._batch = min(BATCH, len(images) // BATCHES)

    def __call__(self, subnet: Subnet) -> float:
        """Returns the score of a network, higher is better."""
        net = fresh_network(self._space, subnet, self._seed).to(self._place)
        side = net.lowered[0].in_side
        views = views_of(self._images, side, batch=self._batch, seed=self._seed, place=self._place)
        return steadiness([_gradients(net, view) for _, view in zip(range(BATCHES), views)])  # noqa: B905


def steadiness(gradients: Sequence[Sequence[Tensor]]) -> float:
    """Computes the score from the gradients of each layer's weights, for each batch.

    Args:
        gradients: For each batch, of each layer a tensor; equal shapes in all batches.
    """
    total = 0.0
    for layer in zip(*gradients, strict=True):
        sizes = torch.stack(layer).abs().double()
        deviation, mean = sizes.std(0, correction=0), sizes.mean(0)
        moving = deviation > 0
        steady = float((mean[moving] / deviation[moving]).sum())
        total += log(steady) if steady > 0 else 0.0
    return total


def _gradients(net: StaticNet, views: Views) -> list[Tensor]:
    net.zero_grad()
    projection_2BE = nn.functional.normalize(net(views.both_2BCHW).embedding)
    nt_xent(projection_2BE, projection_2BE, views.indices_B, TEMPERATURE).backward()
    weights = (part.weight for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear))
    return [weight.grad.clone() for weight in weights if weight.grad is not None]
