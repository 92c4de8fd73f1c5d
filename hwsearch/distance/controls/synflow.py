"""SynFlow (arXiv 2006.05467): how much flows through the weights of an untrained network."""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.distance.controls.instead import ACTIVATIONS, Instead
from hwsearch.nn import StaticNet
from hwsearch.nn.place import Place
from hwsearch.space import Space, Subnet


class SynFlow:
    """log Σ |w · ∂R/∂w|, R being the sum of outputs for an image of ones and absolute weights.

    Nothing is negative then, so activations let all pass; norms are left out, and attention, whose
    scores would grow beyond any number, attends to all tokens alike.

    Args:
        space: Of the networks.
        seed: Chooses the random weights.
        place: Where networks compute.
    """

    def __init__(self, space: Space, seed: int = 0, place: Place = "cpu") -> None:
        self._space, self._seed, self._place = space, seed, place

    def __call__(self, subnet: Subnet) -> float:
        """Returns the score of a network, higher is better."""
        return log(flow(fresh_network(self._space, subnet, self._seed).to(self._place)))


def flow(net: StaticNet) -> float:
    """Sums |w · ∂R/∂w| over the weights of all convolutions and linear layers.

    Args:
        net: Its weights are replaced by their absolute values, in float64.
    """
    net.eval().double()
    for parameter in net.parameters():
        parameter.data.abs_()
    side, device = net.lowered[0].in_side, next(net.parameters()).device
    ones_BCHW = torch.ones(1, 3, side, side, dtype=torch.float64, device=device)
    attention = F.scaled_dot_product_attention
    with Instead((*ACTIVATIONS, F.layer_norm), _pass_on), Instead((attention,), _attend_alike):
        net(ones_BCHW).embedding.sum().backward()
    weights = [part.weight for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    gradients = ((weight.detach(), weight.grad) for weight in weights if weight.grad is not None)
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in gradients)


def _pass_on(_: Callable[..., Tensor], x: Tensor, *args: object, **kwargs: object) -> Tensor:
    del args, kwargs
    return x


def _attend_alike(
    _: Callable[..., Tensor], query: Tensor, key: Tensor, value_BHNC: Tensor, **kwargs: object
) -> Tensor:
    del query, key, kwargs
    return value_BHNC.mean(2, keepdim=True).expand_as(value_BHNC)
