"""What each kind of block computes: its layers, once, for every reader.

A kind is a function from a block to its layers. The elastic module, the static module,
multiply-accumulates, parameters and output shapes are all derived from that one description,
so a new kind is one function here and nothing elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hwsearch.block import Block, Shape
from hwsearch.errors import unknown_name

INPUT = "input"
"""Name by which a layer refers to the input of its block."""


@dataclass(frozen=True)
class ConvNorm:
    """Convolution without bias, batch norm and, if `relu`, a ReLU.

    Attributes:
        name: Unique in the block; names the weights.
        source: The layer that feeds this one.
        channels_in: Name of the block size that gives the input channels.
        channels_out: Name of the block size that gives the output channels.
        kernel: Side of the square kernel in pixels.
        stride: Stride in pixels.
        relu: Whether a ReLU follows.
        zero_init: Whether the norm's scale starts at zero (last layer of a residual branch).
    """

    name: str
    source: str
    channels_in: str
    channels_out: str
    kernel: int = 1
    stride: int = 1
    relu: bool = True
    zero_init: bool = False


@dataclass(frozen=True)
class MaxPool:
    """3×3 max-pooling with stride 2."""

    name: str
    source: str


@dataclass(frozen=True)
class AddRelu:
    """Sum of two layers, then a ReLU."""

    name: str
    source: str
    other: str


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all positions: a feature map becomes a vector."""

    name: str
    source: str


Layer = ConvNorm | MaxPool | AddRelu | GlobalPool
Kind = Callable[[Block], tuple[Layer, ...]]
_KINDS: dict[str, Kind] = {}


def register_kind(name: str) -> Callable[[Kind], Kind]:
    """Registers a function from a block to its layers under the name of a block kind."""

    def keep(kind: Kind) -> Kind:
        assert name not in _KINDS, f"block kind {name} is registered twice"
        _KINDS[name] = kind
        return kind

    return keep


@cache
def layers_of(block: Block) -> tuple[Layer, ...]:
    """Returns the layers of a block in the order in which they run; the last is its output.

    Raises:
        HwsearchError: If the block's kind is not registered.
    """
    if block.kind not in _KINDS:
        raise unknown_name("block kind", block.kind, _KINDS)
    return _KINDS[block.kind](block)


@register_kind("stem-pool")
def _stem_pool(block: Block) -> tuple[Layer, ...]:
    return (*_stem(block), MaxPool("pool", "conv"))


@register_kind("stem")
def _stem(block: Block) -> tuple[Layer, ...]:
    return (ConvNorm("conv", INPUT, "in", "out", block.kernel, block.stride),)


def _bottleneck_branch(block: Block) -> tuple[Layer, ...]:
    return (
        ConvNorm("conv1", INPUT, "in", "inner"),
        ConvNorm("conv2", "conv1", "inner", "inner", block.kernel, block.stride),
        ConvNorm("conv3", "conv2", "inner", "out", relu=False, zero_init=True),
    )


@register_kind("bottleneck")
def _bottleneck(block: Block) -> tuple[Layer, ...]:
    return (*_bottleneck_branch(block), AddRelu("sum", "conv3", INPUT))


@register_kind("bottleneck-projected")
def _bottleneck_projected(block: Block) -> tuple[Layer, ...]:
    shortcut = ConvNorm("shortcut", INPUT, "in", "out", 1, block.stride, relu=False)
    return (*_bottleneck_branch(block), shortcut, AddRelu("sum", "conv3", "shortcut"))


@register_kind("global-pool")
def _global_pool(block: Block) -> tuple[Layer, ...]:
    return (GlobalPool("pool", INPUT),)


@dataclass(frozen=True)
class Cost:
    """What one block takes, derived from its layers.

    Attributes:
        macs: Multiply-accumulates of the convolutions for one image.
        params: Learned parameters (convolution weights, norm scales and shifts).
        read_elements: Input elements of all layers for one image.
        written_elements: Output elements of all layers for one image.
        out_shape: Shape of the block's output: channels, height, width.
    """

    macs: int
    params: int
    read_elements: int
    written_elements: int
    out_shape: Shape


def _out_shape(layer: Layer, source: Shape, block: Block) -> Shape:
    channels, height, width = source
    match layer:
        case ConvNorm():
            side = -(-height // layer.stride)
            return (block.size(layer.channels_out), side, side)
        case MaxPool():
            return (channels, -(-height // 2), -(-width // 2))
        case AddRelu():
            return source
        case GlobalPool():
            return (channels, 1, 1)


@cache
def cost_of(block: Block) -> Cost:
    """Walks the layers of a block and counts what they take for one image."""
    shapes: dict[str, Shape] = {INPUT: block.in_shape}
    macs = params = read = written = 0
    layers = layers_of(block)
    for layer in layers:
        source = shapes[layer.source]
        shapes[layer.name] = channels, height, width = _out_shape(layer, source, block)
        read += source[0] * source[1] * source[2] * (2 if isinstance(layer, AddRelu) else 1)
        written += channels * height * width
        if isinstance(layer, ConvNorm):
            weights = block.size(layer.channels_in) * channels * layer.kernel**2
            macs += weights * height * width
            params += weights + 2 * channels
    return Cost(macs, params, read, written, shapes[layers[-1].name])
