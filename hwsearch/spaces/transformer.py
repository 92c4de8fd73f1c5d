"""Plain vision transformers (arXiv 2010.11929), pooled by the mean of their tokens."""

from collections.abc import Sequence

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.space import Dim, Part, Space, Values
from hwsearch.spaces.registry import register_space

THIRDS = (1, 2, 3)
"""The depth is cut into three runs of equal blocks, each with choices of its own."""


@register_space("vit-224", side=224)
def _full_size(name: str, side: int) -> Space:
    return transformer_space(
        name,
        side,
        patch=16,
        head=64,
        widths=(192, 256, 320, 384),
        depths=(2, 3, 4),
        heads=(3, 4, 5, 6),
        ratios=(2, 3, 4),
    )


@register_space("vit-32", side=32)
def _for_32_pixels(name: str, side: int) -> Space:
    return _twin(name, side, patch=4)


@register_space("vit-64", side=64)
def _for_64_pixels(name: str, side: int) -> Space:
    return _twin(name, side, patch=8)


def _twin(name: str, side: int, *, patch: int) -> Space:
    return transformer_space(
        name,
        side,
        patch=patch,
        head=16,
        widths=(32, 48, 64, 80),
        depths=(1, 2),
        heads=(2, 3, 4),
        ratios=(2, 3, 4),
    )


def transformer_space(
    name: str,
    side: int,
    *,
    patch: int,
    head: int,
    widths: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    ratios: Sequence[int],
) -> Space:
    """Builds a space with one width, and a depth, heads and MLP ratio for each third.

    Args:
        name: Registered name.
        side: Height and width of the input image in pixels.
        patch: Height and width of a patch in pixels.
        head: Channels of one attention head, in all networks.
        widths: Channels of a token to choose from.
        depths: Numbers of blocks of a third to choose from.
        heads: Numbers of attention heads to choose from.
        ratios: Hidden channels of an MLP per channel of a token.

    Raises:
        HwsearchError: If patches do not fill the image.
    """
    if side % patch:
        raise HwsearchError(
            f"patches of {patch} pixels do not fill an image of side {side}",
            where=f"space '{name}'",
            fix=f"Use a side that {patch} divides, such as {-(-side // patch) * patch}",
        )
    dims = (
        Dim("width", tuple(widths)),
        *(Dim(f"depth{i}", tuple(depths)) for i in THIRDS),
        *(Dim(f"heads{i}", tuple(heads)) for i in THIRDS),
        *(Dim(f"ratio{i}", tuple(ratios)) for i in THIRDS),
    )

    def lower_patches(values: Values) -> tuple[Block, ...]:
        sizes = (("in", 3), ("out", values["width"]))
        return (Block("patches", sizes, side, "patches", kernel=patch, stride=patch),)

    def lower_end(values: Values) -> tuple[Block, ...]:
        sizes = (("in", values["width"]), ("out", values["width"]))
        return (Block("norm-pool", sizes, side // patch, "norm", output="embedding"),)

    parts = (
        Part("patches", ("width",), lower_patches),
        *(_third(number, head, side=side // patch) for number in THIRDS),
        Part("end", ("width",), lower_end),
    )
    return Space(name, (3, side, side), dims, parts)


def _third(number: int, head: int, *, side: int) -> Part:
    depth, heads, ratio = f"depth{number}", f"heads{number}", f"ratio{number}"

    def lower(values: Values) -> tuple[Block, ...]:
        width, inner = values["width"], head * values[heads]
        hidden = values[ratio] * width
        sizes = (("in", width), ("inner", inner), ("hidden", hidden), ("out", width))
        return tuple(
            Block(
                kind="transformer",
                sizes=sizes,
                in_side=side,
                slot=f"third{number}.{index}",
                settings=(("heads", values[heads]),),
                tap=number if index == values[depth] - 1 else None,
            )
            for index in range(values[depth])
        )

    return Part(f"third{number}", ("width", depth, heads, ratio), lower)
