"""Batch-norm calibration: running statistics of an extracted network from stated images."""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def calibrate(net: N, batches: Iterable[Tensor]) -> N:
    """Replaces the running statistics by those of the given images; weights stay as they are.

    The statistics are the plain mean over batches of equal size, so the order of the batches
    does not matter. The network is left in evaluation mode; one without batch norms is not run.

    Args:
        net: An extracted network, with a head or without.
        batches: Normalised images, each batch [B, C, H, W]; one that is smaller than the first
            is left out.

    Returns:
        The same network.
    """
    norms = [module for module in net.modules() if isinstance(module, _NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # None means: cumulative mean instead of a moving one
    if norms:
        _observe(net.train(), batches)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return net.eval()


def _observe(net: nn.Module, batches: Iterable[Tensor]) -> None:
    size = 0
    for x_BCHW in batches:
        size = size or len(x_BCHW)
        if len(x_BCHW) == size:
            net(x_BCHW)
