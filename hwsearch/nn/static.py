"""Static networks: plain torch modules with running statistics, ready to calibrate and export."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwsearch.block import Block
from hwsearch.kinds import cost_of, layers_of, shapes_of
from hwsearch.layers import Conv, Layer, LayerNorm, Linear, Position
from hwsearch.nn.convolution import Convolution
from hwsearch.nn.features import Features, run_blocks
from hwsearch.nn.walk import activate, run_layers
from hwsearch.nn.weights import LAYER_NORM_EPS, NORM_EPS, initialise


class StaticConv(nn.Module):
    """Convolution, batch norm with running statistics (or a bias), activation."""

    def __init__(self, layer: Conv, block: Block) -> None:
        super().__init__()
        inputs, outputs = block.size(layer.channels_in), block.size(layer.channels_out)
        self.conv = Convolution(
            inputs,
            outputs,
            layer.kernel,
            layer.stride,
            layer.padding,
            layer.dilation,
            groups=inputs if layer.depthwise else 1,
            bias=layer.bias and not layer.norm,
        )
        self.norm = nn.BatchNorm2d(outputs, eps=NORM_EPS) if layer.norm else nn.Identity()
        self.layer = layer

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Computes the layer."""
        return activate(self.norm(self.conv(x_BCHW)), self.layer.activation)


class StaticLinear(nn.Module):
    """The same matrix and bias for every token, then an activation."""

    def __init__(self, layer: Linear, block: Block) -> None:
        super().__init__()
        inputs, outputs = block.size(layer.channels_in), block.size(layer.channels_out)
        self.layer, self.linear = layer, nn.Linear(inputs, outputs)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Computes the layer."""
        return activate(self.linear(x_BNC), self.layer.activation)


class StaticLayerNorm(nn.Module):
    """Normalises the channels of each token."""

    def __init__(self, layer: LayerNorm, block: Block) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shapes_of(block)[layer.source][0], LAYER_NORM_EPS)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Computes the layer."""
        return self.norm(x_BNC)


class StaticPosition(nn.Module):
    """Adds a learned vector for each place."""

    def __init__(self, layer: Position, block: Block) -> None:
        super().__init__()
        self.place_NC = nn.Parameter(torch.empty(_places(layer, block)))

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Computes the layer."""
        return x_BNC + self.place_NC


def _places(layer: Position, block: Block) -> tuple[int, int]:
    channels, height, width = shapes_of(block)[layer.source]
    return (height * width, channels)


_MODULES: Mapping[type[Layer], Callable[..., nn.Module]] = {
    Conv: StaticConv,
    Linear: StaticLinear,
    LayerNorm: StaticLayerNorm,
    Position: StaticPosition,
}
_PATHS: Mapping[type[Layer], Mapping[str, str]] = {
    Conv: {
        "weight_OIHW": "conv.weight",
        "bias": "conv.bias",
        "scale": "norm.weight",
        "shift": "norm.bias",
    },
    Linear: {"weight_OI": "linear.weight", "bias": "linear.bias"},
    LayerNorm: {"scale": "norm.weight", "shift": "norm.bias"},
    Position: {"weight_CHW": "place_NC"},
}
"""Where a static module keeps the tensors that `Layer.weights` names."""


class StaticBlock(nn.Module):
    """One block with weights of its own.

    Args:
        block: What it computes.
        initialised: Whether weights are as training starts with them; else all are to be put.
    """

    def __init__(self, block: Block, *, initialised: bool = True) -> None:
        super().__init__()
        self.block = block
        for layer in layers_of(block):
            if type(layer) in _MODULES:
                self.add_module(layer.name, _MODULES[type(layer)](layer, block))
                if initialised:
                    self._initialise(layer)

    def _initialise(self, layer: Layer) -> None:
        for name, shape in layer.weights(self.block, shapes_of(self.block)[layer.source]).items():
            start = torch.empty(shape, device=self.learned(layer, name).device)
            initialise(layer, name, start)
            self.put(layer, name, start)

    def learned(self, layer: Layer, name: str) -> nn.Parameter:
        """Returns a learned tensor by the name that `Layer.weights` gives it."""
        return self.get_submodule(layer.name).get_parameter(_PATHS[type(layer)][name])

    @torch.no_grad()
    def put(self, layer: Layer, name: str, value: Tensor) -> None:
        """Sets a learned tensor, given in the shape that `Layer.weights` tells."""
        value = value.flatten(1).T if name == "weight_CHW" else value
        self.learned(layer, name).copy_(value)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Runs the block."""
        return run_layers(self.block, inputs, lambda layer, x: self.get_submodule(layer.name)(x))


class StaticNet(nn.Module):
    """A network with weights of its own, built from lowered blocks.

    Args:
        blocks: Result of `Space.lower`.
        initialised: Whether weights are as training starts with them; else all are to be put.
    """

    def __init__(self, blocks: tuple[Block, ...], *, initialised: bool = True) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StaticBlock(block, initialised=initialised) for block in blocks)

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
        """Channels of the last block's output."""
        return cost_of(self.lowered[-1]).out_shape[0]

    def showing_maps(self) -> "StaticNet":
        """Returns a copy whose outputs are its feature maps, "stage1" the finest, and no embedding.

        Raises:
            ValueError: If it has none.
        """
        ends = [at for at, block in enumerate(self.lowered) if block.tap is not None]
        if not ends:
            raise ValueError("the network shows no feature maps")
        blocks = list(self.lowered[: ends[-1] + 1])
        for stage, at in enumerate(ends, start=1):
            blocks[at] = replace(blocks[at], output=f"stage{stage}")
        shown, own = StaticNet(tuple(blocks), initialised=False), self.state_dict()
        shown.load_state_dict({name: own[name] for name in shown.state_dict()})
        return shown.train(self.training)

    def forward(self, x: Tensor) -> Features:
        """Computes all levels and outputs of normalised images of the network's own side."""
        return run_blocks(self.lowered, x, lambda place, _, *inputs: self.blocks[place](*inputs))
