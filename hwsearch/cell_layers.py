"""Layers without weights that cells are made of, beside those that other blocks have too."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsearch.block import Block, Shape
from hwsearch.layers import Layer, Layout


@dataclass(frozen=True)
class Relu(Layer):
    """What is above zero; its input stays as it is, for others read it too."""


@dataclass(frozen=True)
class Pool(Layer):
    """3×3 pooling of a map; means leave the padding out.

    Attributes:
        statistic: What is taken of each window.
        stride: Stride in pixels.
    """

    statistic: Literal["max", "mean"]
    stride: int
    takes: ClassVar[Layout | None] = "map"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        channels, height, width = source
        return (channels, -(-height // self.stride), -(-width // self.stride))


@dataclass(frozen=True)
class Shift(Layer):
    """A map without its first row and first column."""

    takes: ClassVar[Layout | None] = "map"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        channels, height, width = source
        return (channels, height - 1, width - 1)


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of maps of one side, one map after the other.

    Attributes:
        others: Layers that follow the first source.
        channels_out: Name of the block size that gives the channels of all together.
    """

    others: tuple[str, ...]
    channels_out: str
    takes: ClassVar[Layout | None] = "map"

    @property
    def sources(self) -> tuple[str, ...]:  # noqa: D102
        return (self.source, *self.others)

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (block.size(self.channels_out), *source[1:])
