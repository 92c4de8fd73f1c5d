"""Batch-norm calibration: running statistics of an extracted network from stated images."""

import torch
from torch import Tensor, nn

from hwsearch.nn.static import StaticNet


@torch.no_grad()
def calibrate(net: StaticNet, images_BCHW: Tensor, *, batch: int = 256) -> StaticNet:
    """Replaces the running statistics by those of the given images; weights stay as they are.

    The statistics are the plain mean over batches of equal size, so the order of the batches
    does not matter. The network is left in evaluation mode.

    Args:
        net: An extracted network.
        images_BCHW: Normalised images.
        batch: Images a pass; a smaller last batch is left out unless it is the only one.

    Returns:
        The same network.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # None means: cumulative mean instead of a moving one
    net.train()
    batches = [chunk for chunk in images_BCHW.split(batch) if len(chunk) == batch]
    for chunk in batches or [images_BCHW]:
        net(chunk)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return net.eval()
