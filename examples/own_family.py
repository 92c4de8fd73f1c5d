"""A family of one's own: networks in network (arXiv 1312.4400), of a block kind of their own."""

from hwsearch.block import Block
from hwsearch.kinds import register_kind
from hwsearch.layers import INPUT, Conv, Layer
from hwsearch.space import Dim, Part, Space, Values
from hwsearch.spaces import register_space
from hwsearch.spaces.resolution import halved


@register_kind("plain")
def plain(block: Block) -> tuple[Layer, ...]:
    """A 3×3 convolution, then a 1×1 one; each with batch norm and ReLU."""
    return (
        Conv("spatial", INPUT, "in", "out", block.kernel, block.stride),
        Conv("mix", "spatial", "out", "out"),
    )


def stage(number: int, side: int) -> Part:
    """Blocks of one width, the first of which halves the map; the last ends a feature level."""
    before, width, depth = f"width{number - 1}", f"width{number}", f"depth{number}"

    def lower(values: Values) -> tuple[Block, ...]:
        channels, at, blocks = values[before], side, []
        for index in range(values[depth]):
            sizes = (("in", channels), ("out", values[width]))
            slot, stride = f"stage{number}.{index}", 1 if index else 2
            tap = number if index == values[depth] - 1 else None
            blocks.append(Block("plain", sizes, at, slot, kernel=3, stride=stride, tap=tap))
            channels, at = values[width], halved(at, stride, where=slot)
        return tuple(blocks)

    return Part(f"stage{number}", (before, width, depth), lower)


@register_space("plain-32", side=32)
def plain_space(name: str, side: int) -> Space:
    """A stem, three stages with a width and a depth each, and the mean over the map."""
    sides = [side, halved(side, 2, where="stage 1"), halved(side, 4, where="stage 2")]

    def stem(values: Values) -> tuple[Block, ...]:
        return (Block("stem", (("in", 3), ("out", values["width0"])), side, "stem", kernel=3),)

    def pool(values: Values) -> tuple[Block, ...]:
        sizes = (("in", values["width3"]), ("out", values["width3"]))
        at = halved(sides[-1], 2, where="stage 3")
        return (Block("global-pool", sizes, at, "pool", output="embedding"),)

    widths = (Dim(f"width{i}", (8 * 2**i, 12 * 2**i, 16 * 2**i)) for i in range(4))
    depths = (Dim(f"depth{i}", (1, 2, 3)) for i in (1, 2, 3))
    stages = (stage(i, at) for i, at in enumerate(sides, start=1))
    parts = (Part("stem", ("width0",), stem), *stages, Part("pool", ("width3",), pool))
    return Space(name, (3, side, side), (*widths, *depths), parts)
