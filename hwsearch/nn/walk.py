"""The walk through the layers of a block that static and elastic modules share."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from hwsearch.block import Block
from hwsearch.layers import INPUT, AddRelu, ConvNorm, GlobalPool, MaxPool, layers_of


def run_layers(
    block: Block, x_BCHW: Tensor, conv_norm: Callable[[ConvNorm, Tensor], Tensor]
) -> Tensor:
    """Runs the layers of a block in order.

    Args:
        block: What to run.
        x_BCHW: Input of the block.
        conv_norm: Computes a convolution with its norm and ReLU; it alone owns weights.

    Returns:
        Output of the last layer, [B, C, H, W].
    """
    values = {INPUT: x_BCHW}
    y = x_BCHW
    for layer in layers_of(block):
        source = values[layer.source]
        match layer:
            case ConvNorm():
                y = conv_norm(layer, source)
            case MaxPool():
                y = F.max_pool2d(source, 3, 2, 1)
            case AddRelu():
                y = F.relu(source + values[layer.other])
            case GlobalPool():
                y = source.mean((2, 3), keepdim=True)
        values[layer.name] = y
    return y
