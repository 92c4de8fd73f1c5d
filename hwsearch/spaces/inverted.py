"""Inverted residual networks: the class of MobileNetV2 (arXiv 1801.04381)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from hwsearch.block import Block
from hwsearch.space import Dim, Part, Space, Values
from hwsearch.spaces.registry import register_space
from hwsearch.spaces.resolution import halved

EXPANSIONS = (3, 4, 6)
"""Inner channels of a block per channel of its input."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, one expansion and one kernel.

    Attributes:
        widths: Channels to choose from.
        depths: Numbers of blocks to choose from.
        stride: Stride of the first block in pixels.
    """

    widths: Sequence[int]
    depths: Sequence[int]
    stride: int


@register_space("inverted-224", side=224)
def _full_size(name: str, side: int) -> Space:
    return inverted_space(
        name,
        side,
        stem=((24, 32, 40), 2),
        first=((16, 24), 1),
        stages=(
            Stage((16, 24, 32), (1, 2, 3), 2),
            Stage((24, 32, 40), (2, 3, 4), 2),
            Stage((48, 64, 80), (2, 3, 4), 2),
            Stage((72, 96, 120), (2, 3, 4), 1),
            Stage((120, 160, 200), (2, 3, 4), 2),
            Stage((240, 320, 400), (1, 2), 1),
        ),
        kernels=(3, 5, 7),
        head=(960, 1280, 1600),
    )


@register_space("inverted-32", side=32)
def _for_32_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=1)


@register_space("inverted-64", side=64)
def _for_64_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=2)


def _twin(name: str, side: int, *, stem_stride: int) -> Space:
    return inverted_space(
        name,
        side,
        stem=((8, 12, 16), stem_stride),
        first=((8, 12, 16), 2),  # large maps take long to train on a CPU
        stages=(
            Stage((8, 12, 16), (1, 2), 1),
            Stage((16, 24, 32), (1, 2, 3), 2),
            Stage((32, 40, 48), (1, 2, 3), 1),
            Stage((48, 64, 96), (1, 2), 2),
        ),
        kernels=(3, 5),
        head=(128, 192, 256),
    )


def inverted_space(
    name: str,
    side: int,
    *,
    stem: tuple[Sequence[int], int],
    first: tuple[Sequence[int], int],
    stages: Sequence[Stage],
    kernels: Sequence[int],
    head: Sequence[int],
) -> Space:
    """Builds a space with a width, depth, expansion and kernel for each stage but the first.

    Args:
        name: Registered name.
        side: Height and width of the input image in pixels.
        stem: Channels of the first convolution to choose from, and its stride in pixels.
        first: The same of the first stage: one block that does not expand.
        stages: Those that follow, from stage 2 on.
        kernels: Sides of the depthwise convolutions in pixels, from stage 2 on; the weights of
            small ones are the centres of large ones.
        head: Channels of the last convolution and of the embedding.
    """
    numbered = tuple(enumerate(stages, start=2))
    dims = (
        Dim("stem", tuple(stem[0])),
        Dim("width1", tuple(first[0])),
        *(Dim(f"width{i}", tuple(stage.widths)) for i, stage in numbered),
        *(Dim(f"depth{i}", tuple(stage.depths)) for i, stage in numbered),
        *(Dim(f"expansion{i}", EXPANSIONS) for i, _ in numbered),
        *(Dim(f"kernel{i}", tuple(kernels), prefix=False) for i, _ in numbered),
        Dim("head", tuple(head)),
    )
    ends = [*(int(stage.stride > 1) for stage in stages), 1]
    levels = [level if end else None for level, end in zip(accumulate(ends), ends, strict=True)]
    at = halved(side, stem[1], where="the stem")
    parts = [_start((side, stem[1]), (at, first[1]), level=levels[0])]
    at = halved(at, first[1], where="stage 1")
    for (i, stage), level in zip(numbered, levels[1:], strict=True):
        parts.append(_stage(i, stage.stride, side=at, level=level))
        at = halved(at, stage.stride, where=f"stage {i}")
    parts.append(_end(len(stages) + 1, at))
    return Space(name, (3, side, side), dims, tuple(parts))


def _start(stem: tuple[int, int], first: tuple[int, int], *, level: int | None) -> Part:
    """Builds the stem and the first stage, of each its input side and its stride in pixels."""

    def lower(values: Values) -> tuple[Block, ...]:
        channels, width = values["stem"], values["width1"]
        sizes = (("in", channels), ("out", width))
        return (
            Block("conv-relu6", (("in", 3), ("out", channels)), stem[0], "stem", 3, stem[1]),
            Block("separable", sizes, first[0], "stage1.0", 3, first[1], tap=level),
        )

    return Part("start", ("stem", "width1"), lower)


def _stage(number: int, stride: int, *, side: int, level: int | None) -> Part:
    """Builds a stage; `level` is the feature level that it ends, if it does."""
    source, width, depth = f"width{number - 1}", f"width{number}", f"depth{number}"
    expansion, kernel = f"expansion{number}", f"kernel{number}"

    def lower(values: Values) -> tuple[Block, ...]:
        channels, blocks = values[source], []
        for index in range(values[depth]):
            inner = values[expansion] * channels
            blocks.append(
                Block(
                    kind="inverted-residual" if index else "inverted",
                    sizes=(("in", channels), ("inner", inner), ("out", values[width])),
                    in_side=-(-side // stride) if index else side,
                    slot=f"stage{number}.{index}",
                    kernel=values[kernel],
                    stride=1 if index else stride,
                    tap=level if index == values[depth] - 1 else None,
                )
            )
            channels = values[width]
        return tuple(blocks)

    return Part(f"stage{number}", (source, width, depth, expansion, kernel), lower)


def _end(last: int, side: int) -> Part:
    source = f"width{last}"

    def lower(values: Values) -> tuple[Block, ...]:
        head = values["head"]
        return (
            Block("conv-relu6", (("in", values[source]), ("out", head)), side, "head"),
            Block("global-pool", (("in", head), ("out", head)), side, "pool", output="embedding"),
        )

    return Part("end", (source, "head"), lower)
