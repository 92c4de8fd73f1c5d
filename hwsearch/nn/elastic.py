"""Elastic layers: shared weights of which a block uses the first channels.

Shapes: B batch, C channels, H W side; O and I are output and input channels of a weight.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.block import Block
from hwsearch.layers import ConvNorm, layers_of
from hwsearch.nn.walk import run_layers

NORM_EPS = 1e-5


class ElasticConvNorm(nn.Module):
    """Convolution and batch norm whose channels are prefixes of the shared weights.

    Normalisation always uses the statistics of the batch at hand: one set of running
    statistics cannot be right for networks of different widths.

    Args:
        layer: What to compute.
        channels_in: Most input channels of any block in the slot.
        channels_out: Most output channels of any block in the slot.
        scale: Scale that the norm starts with.
    """

    def __init__(
        self, layer: ConvNorm, channels_in: int, channels_out: int, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.layer = layer
        side = layer.kernel
        self.weight_OIHW = nn.Parameter(torch.empty(channels_out, channels_in, side, side))
        self.scale = nn.Parameter(torch.full((channels_out,), scale))
        self.shift = nn.Parameter(torch.zeros(channels_out))
        nn.init.kaiming_normal_(self.weight_OIHW, mode="fan_out", nonlinearity="relu")

    def sliced(self, block: Block) -> tuple[Tensor, Tensor, Tensor]:
        """Returns weight, scale and shift of one block as views of the shared ones."""
        inputs = block.size(self.layer.channels_in)
        outputs = block.size(self.layer.channels_out)
        return self.weight_OIHW[:outputs, :inputs], self.scale[:outputs], self.shift[:outputs]

    def forward(self, x_BCHW: Tensor, block: Block) -> Tensor:
        """Computes the layer for one block of the slot."""
        weight, scale, shift = self.sliced(block)
        layer = self.layer
        x = F.conv2d(x_BCHW, weight, None, layer.stride, layer.kernel // 2)
        x = F.batch_norm(x, None, None, scale, shift, training=True, eps=NORM_EPS)
        return F.relu(x, inplace=True) if layer.relu else x


class ElasticBlock(nn.Module):
    """The shared weights of one slot, for every block that the space puts there.

    Args:
        blocks: All blocks of the slot; they share one kind.
        residual_scale: Scale that the last norm of a residual branch starts with.
    """

    def __init__(self, blocks: Iterable[Block], residual_scale: float = 0.0) -> None:
        super().__init__()
        blocks = tuple(blocks)
        assert len({block.kind for block in blocks}) == 1, f"mixed kinds in slot {blocks[0].slot}"
        for layer in layers_of(blocks[0]):
            if isinstance(layer, ConvNorm):
                most_in = max(block.size(layer.channels_in) for block in blocks)
                most_out = max(block.size(layer.channels_out) for block in blocks)
                scale = residual_scale if layer.zero_init else 1.0
                self.add_module(layer.name, ElasticConvNorm(layer, most_in, most_out, scale))

    def forward(self, x_BCHW: Tensor, block: Block) -> Tensor:
        """Runs one block of the slot."""
        return run_layers(block, x_BCHW, lambda layer, x: self.get_submodule(layer.name)(x, block))
