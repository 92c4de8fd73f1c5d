"""Layers: what blocks are made of, each with its shape, its weights and its cost.

A feature map lies in memory as a "map" [B, C, H, W] or as "tokens" [B, H·W, C]; shapes are told
as (C, H, W) for both. A camera's "bytes" are uint8[B, H, W, C].
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, NamedTuple

from hwsearch.block import Block, Shape

INPUT = "input"
"""Name by which a layer refers to the input of its block."""

BEFORE = "before"
"""The same for the second input, where there is one."""

MEAN = 0.5
"""Subtracted from pixels that were scaled to 0 to 1; the same for every data set and channel."""

STD = 0.25
"""Divides the pixels after `MEAN` was subtracted."""

Activation = Literal["none", "relu", "relu6", "gelu"]
Layout = Literal["map", "tokens", "bytes"]
Weights = dict[str, tuple[int, ...]]
"""Shapes of learned tensors; letters after the last underscore name their axes."""

Axes = tuple[str | None, ...]
"""For the axes of a tensor the name of the block size that each is as long as, if it is one."""


class Stage(NamedTuple):
    """What a layer holds at one point of its work.

    Attributes:
        reads: Sources that it has not finished with.
        elements: Numbers in buffers of its own, its output among them.
    """

    reads: tuple[str, ...]
    elements: int


@dataclass(frozen=True)
class Layer:
    """One step inside a block.

    Attributes:
        name: Unique in the block; names the weights.
        source: The layer that feeds this one.
        takes: How its input lies in memory; None if it takes what it gets.
    """

    name: str
    source: str
    takes: ClassVar[Layout | None] = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all layers that feed this one."""
        return (self.source,)

    def out_shape(self, block: Block, source: Shape) -> Shape:
        """Returns the shape of the output, given that of the first source."""
        return source

    def weights(self, block: Block, source: Shape) -> Weights:
        """Returns the shapes of the learned tensors, given that of the first source."""
        return {}

    def axes(self, name: str) -> Axes:
        """Returns what the axes of a learned tensor are as long as."""
        return ()

    def shipped_elements(self, block: Block, source: Shape) -> int:
        """Returns the numbers that an engine holds of the layer."""
        return sum(prod(shape) for shape in self.weights(block, source).values())

    def stages(self, block: Block, source: Shape) -> tuple[Stage, ...]:
        """Returns what is held while the layer runs on one image."""
        return (Stage(self.sources, prod(self.out_shape(block, source))),)

    def macs(self, block: Block, source: Shape) -> int:
        """Returns the multiply-accumulates for one image."""
        return 0


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution, then batch norm (or a bias), then an activation.

    Attributes:
        channels_in: Name of the block size that gives the input channels.
        channels_out: Name of the block size that gives the output channels.
        kernel: Side of the square kernel in pixels.
        stride: Stride in pixels.
        activation: What follows the norm or bias.
        norm: Whether a batch norm takes the place of the bias.
        depthwise: Whether each channel has a kernel of its own.
        dilation: Distance between the pixels that the kernel reads.
        bias: Whether there is a bias where there is no batch norm.
        pad: Whether the input is padded so that stride 1 keeps its side.
        zero_init: Whether the norm's scale starts at zero (last layer of a residual branch).
    """

    channels_in: str
    channels_out: str
    kernel: int = 1
    stride: int = 1
    activation: Activation = "relu"
    norm: bool = True
    depthwise: bool = False
    dilation: int = 1
    bias: bool = True
    pad: bool = True
    zero_init: bool = False
    takes: ClassVar[Layout | None] = "map"

    @property
    def padding(self) -> int:
        """Pixels added on each side."""
        return self._reach // 2 if self.pad else 0

    @property
    def _reach(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        side = (source[1] + 2 * self.padding - self._reach) // self.stride + 1
        return (block.size(self.channels_out), side, side)

    def weights(self, block: Block, source: Shape) -> Weights:  # noqa: D102
        outputs = block.size(self.channels_out)
        inputs = 1 if self.depthwise else block.size(self.channels_in)
        kernel = {"weight_OIHW": (outputs, inputs, self.kernel, self.kernel)}
        per_channel = ("scale", "shift") if self.norm else ("bias",) if self.bias else ()
        return kernel | dict.fromkeys(per_channel, (outputs,))

    def axes(self, name: str) -> Axes:  # noqa: D102
        if name != "weight_OIHW":
            return (self.channels_out,)
        return (self.channels_out, None if self.depthwise else self.channels_in, None, None)

    def shipped_elements(self, block: Block, source: Shape) -> int:
        """Returns kernel and bias: an engine's convolution has taken up its batch norm."""
        bias = block.size(self.channels_out) if self.norm or self.bias else 0
        return prod(self.weights(block, source)["weight_OIHW"]) + bias

    def macs(self, block: Block, source: Shape) -> int:  # noqa: D102
        _, height, width = self.out_shape(block, source)
        return prod(self.weights(block, source)["weight_OIHW"]) * height * width


@dataclass(frozen=True)
class Linear(Layer):
    """The same matrix and bias for every token, then an activation."""

    channels_in: str
    channels_out: str
    activation: Activation = "none"
    takes: ClassVar[Layout | None] = "tokens"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (block.size(self.channels_out), *source[1:])

    def weights(self, block: Block, source: Shape) -> Weights:  # noqa: D102
        outputs = block.size(self.channels_out)
        return {"weight_OI": (outputs, block.size(self.channels_in)), "bias": (outputs,)}

    def stages(self, block: Block, source: Shape) -> tuple[Stage, ...]:
        """Tells the matrix product from what the bias and the activation make of it."""
        out = prod(self.out_shape(block, source))
        return (Stage(self.sources, out), Stage((), 2 * out))

    def macs(self, block: Block, source: Shape) -> int:  # noqa: D102
        return prod(self.weights(block, source)["weight_OI"]) * source[1] * source[2]


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalises the channels of each token."""

    takes: ClassVar[Layout | None] = "tokens"

    def weights(self, block: Block, source: Shape) -> Weights:  # noqa: D102
        return {"scale": source[:1], "shift": source[:1]}


@dataclass(frozen=True)
class Position(Layer):
    """Adds a learned vector for each place; resampled for other sides."""

    takes: ClassVar[Layout | None] = "tokens"

    def weights(self, block: Block, source: Shape) -> Weights:  # noqa: D102
        return {"weight_CHW": source}


@dataclass(frozen=True)
class Tokens(Layer):
    """Turns a map into tokens, one a pixel."""

    takes: ClassVar[Layout | None] = "map"


@dataclass(frozen=True)
class Attention(Layer):
    """Scaled dot-product attention among all tokens; `source` gives the queries.

    Attributes:
        key: Layer that gives the keys.
        value: Layer that gives the values.
        heads: Parts of the channels that attend on their own.
    """

    key: str
    value: str
    heads: int
    takes: ClassVar[Layout | None] = "tokens"

    @property
    def sources(self) -> tuple[str, ...]:  # noqa: D102
        return (self.source, self.key, self.value)

    def stages(self, block: Block, source: Shape) -> tuple[Stage, ...]:
        """Tells the scores of all pairs from the sum of values that they weigh."""
        scores = self.heads * (source[1] * source[2]) ** 2
        return (
            Stage(self.sources, scores),
            Stage((self.value,), scores + prod(source)),
        )

    def macs(self, block: Block, source: Shape) -> int:  # noqa: D102
        channels, height, width = source
        return 2 * channels * (height * width) ** 2


@dataclass(frozen=True)
class MaxPool(Layer):
    """3×3 max-pooling with stride 2."""

    takes: ClassVar[Layout | None] = "map"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        channels, height, width = source
        return (channels, -(-height // 2), -(-width // 2))


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two layers, then an activation."""

    other: str
    activation: Activation = "none"

    @property
    def sources(self) -> tuple[str, ...]:  # noqa: D102
        return (self.source, self.other)


@dataclass(frozen=True)
class GlobalPool(Layer):
    """Mean over all positions: a map or tokens become [B, C, 1, 1]."""

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (source[0], 1, 1)


@dataclass(frozen=True)
class Upsample(Layer):
    """Bilinear enlargement to a side in pixels."""

    side: int
    takes: ClassVar[Layout | None] = "map"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (source[0], self.side, self.side)


@dataclass(frozen=True)
class Preprocess(Layer):
    """A camera's bytes, scaled to a side in pixels and normalised, as a map."""

    side: int
    takes: ClassVar[Layout | None] = "bytes"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (source[0], self.side, self.side)
