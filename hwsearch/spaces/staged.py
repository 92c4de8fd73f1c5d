"""Residual networks in stages: what the families of ResNets have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwsearch.block import Block
from hwsearch.space import Dim, Part, Space, Values
from hwsearch.spaces.resolution import halved

Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Residual:
    """The block that a family repeats.

    Attributes:
        kind: Registered kind; with "-projected" after it, the one that starts a stage.
        expansion: Output channels per channel of the stage's width.
        sizes: From input channels and the stage's width to the sizes of the block.
    """

    kind: str
    expansion: int
    sizes: Callable[[int, int], Sizes]


@dataclass(frozen=True)
class Stem:
    """The first layers of a network.

    Attributes:
        widths: Channels to choose from; empty if they are the width of the first stage.
        kernel: Side of the convolution in pixels.
        stride: Stride of the convolution in pixels.
        pool: Whether a 3×3 max-pooling with stride 2 follows.
    """

    widths: Sequence[int]
    kernel: int
    stride: int
    pool: bool


def staged_space(
    name: str,
    side: int,
    residual: Residual,
    stem: Stem,
    *,
    widths: Sequence[Sequence[int]],
    depths: Sequence[Sequence[int]],
    strides: Sequence[int],
) -> Space:
    """Builds a space of residual networks with one width and one depth a stage.

    Args:
        name: Registered name.
        side: Height and width of the input image in pixels.
        residual: What the stages repeat.
        stem: What comes before the stages.
        widths: Channels, per stage.
        depths: Number of blocks, per stage.
        strides: Stride of the first block, per stage.
    """
    stages = range(1, len(widths) + 1)
    dims = [Dim("stem", tuple(stem.widths))] if stem.widths else []
    dims += [Dim(f"width{i}", tuple(w)) for i, w in zip(stages, widths, strict=True)]
    dims += [Dim(f"depth{i}", tuple(d)) for i, d in zip(stages, depths, strict=True)]
    first = "stem" if stem.widths else "width1"

    def lower_stem(values: Values) -> tuple[Block, ...]:
        kind = "stem-pool" if stem.pool else "stem"
        sizes = (("in", 3), ("out", values[first]))
        return (Block(kind, sizes, side, "stem", stem.kernel, stem.stride),)

    at = halved(side, stem.stride * (2 if stem.pool else 1), where="the stem")
    parts = [Part("stem", (first,), lower_stem)]
    before, factor = first, 1
    for stage, stride in zip(stages, strides, strict=True):
        parts.append(_stage(stage, (before, factor), residual, side=at, stride=stride))
        at = halved(at, stride, where=f"stage {stage}")
        before, factor = f"width{stage}", residual.expansion

    last = f"width{stages[-1]}"

    def lower_pool(values: Values) -> tuple[Block, ...]:
        width = residual.expansion * values[last]
        sizes = (("in", width), ("out", width))
        return (Block("global-pool", sizes, at, "pool", output="embedding"),)

    parts.append(Part("pool", (last,), lower_pool))
    return Space(name, (3, side, side), tuple(dims), tuple(parts))


def _stage(
    stage: int, before: tuple[str, int], residual: Residual, *, side: int, stride: int
) -> Part:
    """Builds a stage; `before` names the dimension and the factor of its input channels."""
    source, factor = before
    width, depth = f"width{stage}", f"depth{stage}"
    plain_start = source == width and stride == factor == residual.expansion == 1

    def lower(values: Values) -> tuple[Block, ...]:
        channels, blocks = factor * values[source], []
        for index in range(values[depth]):
            first, last = index == 0, index == values[depth] - 1
            projected = first and not plain_start
            blocks.append(
                Block(
                    kind=f"{residual.kind}-projected" if projected else residual.kind,
                    sizes=residual.sizes(channels, values[width]),
                    in_side=side if first else halved(side, stride, where=f"stage {stage}"),
                    slot=f"stage{stage}.{index}",
                    kernel=3,
                    stride=stride if first else 1,
                    tap=stage if last else None,
                )
            )
            channels = residual.expansion * values[width]
        return tuple(blocks)

    return Part(f"stage{stage}", tuple(dict.fromkeys((source, width, depth))), lower)
