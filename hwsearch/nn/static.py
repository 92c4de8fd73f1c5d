"""Static networks: plain convolutions with running statistics, ready to calibrate and export."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.block import Block
from hwsearch.layers import ConvNorm, cost_of, layers_of
from hwsearch.nn.features import Features, run_blocks
from hwsearch.nn.walk import run_layers


class StaticConvNorm(nn.Sequential):
    """Convolution, batch norm with running statistics and, if the layer says so, a ReLU."""

    def __init__(self, layer: ConvNorm, block: Block) -> None:
        inputs, outputs = block.size(layer.channels_in), block.size(layer.channels_out)
        conv = nn.Conv2d(inputs, outputs, layer.kernel, layer.stride, layer.kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        norm = nn.BatchNorm2d(outputs)
        if layer.zero_init:
            nn.init.zeros_(norm.weight)
        super().__init__(OrderedDict(conv=conv, norm=norm))
        self.conv, self.norm, self.relu = conv, norm, layer.relu

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Computes the layer."""
        x = self.norm(self.conv(x_BCHW))
        return F.relu(x) if self.relu else x


class StaticBlock(nn.Module):
    """One block with weights of its own."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        for layer in layers_of(block):
            if isinstance(layer, ConvNorm):
                self.add_module(layer.name, StaticConvNorm(layer, block))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Runs the block."""
        return run_layers(self.block, x_BCHW, lambda layer, x: self.get_submodule(layer.name)(x))


class StaticNet(nn.Module):
    """A network with weights of its own, built from lowered blocks.

    Args:
        blocks: Result of `Space.lower`; weights are freshly initialised.
    """

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StaticBlock(block) for block in blocks)

    @property
    def lowered(self) -> tuple[Block, ...]:
        """The blocks this network was built from."""
        return tuple(module.block for module in self.static_blocks)

    @property
    def static_blocks(self) -> tuple[StaticBlock, ...]:
        """The block modules in order."""
        return tuple(module for module in self.blocks if isinstance(module, StaticBlock))

    @property
    def embedding_width(self) -> int:
        """Channels of the pooled output."""
        return cost_of(self.lowered[-1]).out_shape[0]

    def forward(self, x_BCHW: Tensor) -> Features:
        """Computes all levels and the embedding of normalised images."""
        return run_blocks(self.lowered, x_BCHW, lambda position, _, x: self.blocks[position](x))
