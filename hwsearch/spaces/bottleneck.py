"""Bottleneck ResNets: DATA's search space (arXiv 2203.09041) and its small twin."""

from collections.abc import Sequence

from hwsearch.block import Block
from hwsearch.space import Dim, Part, Space, Values
from hwsearch.spaces.registry import register_space

EXPANSION = 4
"""Output channels of a block per inner channel."""


def bottleneck_space(
    name: str,
    side: int,
    *,
    stem_widths: Sequence[int],
    widths: Sequence[Sequence[int]],
    depths: Sequence[Sequence[int]],
    strides: Sequence[int],
    stem_kernel: int,
    stem_stride: int,
    stem_pool: bool,
) -> Space:
    """Builds a space of bottleneck ResNets with one width and one depth a stage.

    Args:
        name: Registered name.
        side: Height and width of the input image in pixels.
        stem_widths: Channels of the stem.
        widths: Inner channels of the blocks, per stage.
        depths: Number of blocks, per stage.
        strides: Stride of the first block, per stage.
        stem_kernel: Side of the stem's convolution in pixels.
        stem_stride: Stride of the stem's convolution in pixels.
        stem_pool: Whether a 3×3 max-pooling with stride 2 follows the stem's convolution.
    """
    stages = range(1, len(widths) + 1)
    dims = [Dim("stem", tuple(stem_widths))]
    dims += [Dim(f"width{i}", tuple(w)) for i, w in zip(stages, widths, strict=True)]
    dims += [Dim(f"depth{i}", tuple(d)) for i, d in zip(stages, depths, strict=True)]

    def stem(values: Values) -> tuple[Block, ...]:
        sizes = (("in", 3), ("out", values["stem"]))
        kind = "stem-pool" if stem_pool else "stem"
        return (Block(kind, sizes, side, "stem", stem_kernel, stem_stride),)

    stage_side = -(-side // (stem_stride * (2 if stem_pool else 1)))
    parts = [Part("stem", ("stem",), stem)]
    for stage, stride in zip(stages, strides, strict=True):
        parts.append(_stage(stage, stage_side, stride))
        stage_side = -(-stage_side // stride)

    last, last_width = stage_side, f"width{stages[-1]}"

    def head(values: Values) -> tuple[Block, ...]:
        width = EXPANSION * values[last_width]
        return (Block("global-pool", (("in", width), ("out", width)), last, "pool"),)

    parts.append(Part("pool", (last_width,), head))
    return Space(name, (3, side, side), tuple(dims), tuple(parts))


def _stage(stage: int, side: int, stride: int) -> Part:
    before = "stem" if stage == 1 else f"width{stage - 1}"
    width, depth = f"width{stage}", f"depth{stage}"

    def lower(values: Values) -> tuple[Block, ...]:
        channels = values[before] if stage == 1 else EXPANSION * values[before]
        blocks = []
        for index in range(values[depth]):
            first, last = index == 0, index == values[depth] - 1
            out = EXPANSION * values[width]
            blocks.append(
                Block(
                    kind="bottleneck-projected" if first else "bottleneck",
                    sizes=(("in", channels), ("inner", values[width]), ("out", out)),
                    in_side=side if first else -(-side // stride),
                    slot=f"stage{stage}.{index}",
                    kernel=3,
                    stride=stride if first else 1,
                    tap=stage if last else None,
                )
            )
            channels = out
        return tuple(blocks)

    return Part(f"stage{stage}", (before, width, depth), lower)


@register_space("bottleneck-224")
def _data_space() -> Space:
    return bottleneck_space(
        "bottleneck-224",
        224,
        stem_widths=(32, 48, 64),
        widths=((48, 64, 80), (96, 128, 160), (192, 256, 320), (384, 512, 640)),
        depths=((2, 3, 4), (2, 4, 6), tuple(range(5, 31, 2)), (2, 3, 4)),
        strides=(1, 2, 2, 2),
        stem_kernel=7,
        stem_stride=2,
        stem_pool=True,
    )


@register_space("bottleneck-32")
def _small_space() -> Space:
    return bottleneck_space(
        "bottleneck-32",
        32,
        stem_widths=(8, 12, 16),
        widths=((8, 12, 16), (16, 24, 32), (32, 48, 64), (64, 96, 128)),
        depths=((1, 2, 3), (1, 2, 3), (1, 2, 3, 4, 5), (1, 2)),
        strides=(2, 2, 2, 1),
        stem_kernel=3,
        stem_stride=1,
        stem_pool=False,
    )
