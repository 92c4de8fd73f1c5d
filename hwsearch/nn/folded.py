"""Batch norms as part of the convolutions before them, as engines compute them."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from hwsearch.nn.static import StaticConv, StaticNet


@torch.no_grad()
def fold_norms(net: StaticNet) -> StaticNet:
    """Takes the running statistics into weights and biases: the same outputs, but for rounding.

    Args:
        net: A calibrated network in evaluation mode; it is changed.

    Returns:
        The same network, without batch norms.
    """
    for module in net.modules():
        if isinstance(module, StaticConv) and isinstance(module.norm, nn.BatchNorm2d):
            conv, norm = module.conv, module.norm
            mean_O, variance_O = norm.running_mean, norm.running_var
            assert mean_O is not None and variance_O is not None
            learned = (norm.eps, norm.weight, norm.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean_O, variance_O, *learned
            )
            module.norm = nn.Identity()
    return net
