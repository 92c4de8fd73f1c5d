"""Networks of cells (DARTS, arXiv 1806.09055): families that differ in width and depth.

What a search over cells has found is a file, and "cells:learned/genotype.json" is the space of its
networks; "cells:learned/genotype.json[max]" is one of them alone.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hwsearch.block import Block, Ranges
from hwsearch.journal import sha256_of
from hwsearch.kinds.cell import INPUTS, Edge, edge_settings
from hwsearch.space import Dim, Part, Space, Subnet, Values
from hwsearch.spaces.genotype import EDGES_A_NODE, STAGES, CellFamily, Genotype
from hwsearch.spaces.registry import path_of, register_scheme, register_space

WIDTH = "width"
_DEPTHS = tuple(f"depth{stage}" for stage in range(1, STAGES + 1))
STEM_FACTOR = 3
"""Channels of the stem for each one of a node's, as in DARTS."""

WIDTHS = (8, 10, 12, 14, 16, 20, 24)
DEPTHS = ((2, 3, 4), (2, 3, 4), (1, 2, 3, 4))
"""Of the family of published cells; DARTS searches with width 16 and depths 2, 3 and 3."""


def _edges(*read: tuple[int, str]) -> tuple[Edge, ...]:
    return tuple(sorted(Edge(INPUTS + at // EDGES_A_NODE, *one) for at, one in enumerate(read)))


DARTS = Genotype(
    normal=_edges(
        *((0, "separable-3"), (1, "separable-3")),
        *((0, "separable-3"), (1, "separable-3")),
        *((1, "separable-3"), (0, "skip")),
        *((0, "skip"), (2, "dilated-3")),
    ),
    reduction=_edges(
        *((0, "max-pool-3"), (1, "max-pool-3")),
        *((2, "skip"), (1, "max-pool-3")),
        *((0, "max-pool-3"), (2, "skip")),
        *((2, "skip"), (1, "max-pool-3")),
    ),
)
"""The cells that DARTS publishes (second order, learned from the labels of CIFAR-10)."""


@dataclass(frozen=True)
class CellSpace(Space):
    """Networks of equal cells.

    Attributes:
        family: Cells, widths and depths.
        digest: Tells the cells from those that the file held at another time.
    """

    family: CellFamily = field(repr=False, compare=False)
    digest: str = ""

    def key(self, subnet: Subnet) -> str:
        """Returns what names a network in latency tables; it changes with the cells."""
        key = super().key(subnet)
        return f"{key} of {self.digest}" if self.digest else key


@register_space("cell-32", side=32)
def _published(name: str, side: int) -> CellSpace:
    return cell_space(CellFamily(DARTS, side, WIDTHS, DEPTHS), name)


@register_scheme("cells")
def _open(name: str) -> CellSpace:
    path = path_of(name.partition(":")[2])
    family = CellFamily.read(path)
    return cell_space(family, f"cells:{path}", digest=sha256_of(path)[:12])


def cell_space(family: CellFamily, name: str, *, digest: str = "") -> CellSpace:
    """Builds the space of a family.

    Args:
        family: Cells, widths and depths.
        name: Of the space.
        digest: Tells the family's cells from others.
    """
    depths = (Dim(n, d, prefix=False) for n, d in zip(_DEPTHS, family.depths, strict=True))
    dims = (Dim(WIDTH, family.widths, prefix=False), *depths)
    most, side = family.widths[-1], family.side

    def stem(values: Values) -> tuple[Block, ...]:
        sizes = (("in", 3), ("out", STEM_FACTOR * values[WIDTH]))
        return (Block("stem", sizes, side, "stem", kernel=3),)

    def cells(values: Values) -> tuple[Block, ...]:
        return _cells(family, values, most)

    def pool(values: Values) -> tuple[Block, ...]:
        channels, last = _width(values, STAGES) * family.genotype.nodes, side // 2 ** (STAGES - 1)
        sizes = (("in", channels), ("out", channels))
        return (Block("global-pool", sizes, last, "pool", output="embedding"),)

    parts = (
        Part("stem", (WIDTH,), stem),
        Part("cells", (WIDTH, *_DEPTHS), cells),
        Part("pool", (WIDTH,), pool),
    )
    return CellSpace(name, (3, side, side), dims, parts, family, digest)


def _width(values: Values, stage: int) -> int:
    """Returns the channels of a node."""
    return values[WIDTH] * 2 ** (stage - 1)


class _Map(NamedTuple):
    """What a cell reads: channels, side in pixels, and which of the widest map's channels."""

    channels: int
    side: int
    runs: Ranges | None = None


def _cells(family: CellFamily, values: Values, most: int) -> tuple[Block, ...]:
    """Returns all cells of a network; the two maps before the first are both the stem's."""
    older = newer = _Map(STEM_FACTOR * values[WIDTH], family.side)
    found = list[Block]()
    for stage, name in enumerate(_DEPTHS, start=1):
        width, widest = _width(values, stage), most * 2 ** (stage - 1)
        for index in range(values[name]):
            block = _cell(family.genotype, (stage, index), width, newer, older if found else None)
            found.append(replace(block, tap=stage if index == values[name] - 1 else None))
            side = newer.side // block.stride
            runs = _runs(family.genotype.nodes, width, widest)
            older, newer = newer, _Map(block.size("out"), side, runs)
    return tuple(found)


def _cell(
    genotype: Genotype, place: tuple[int, int], width: int, newer: _Map, older: _Map | None
) -> Block:
    """Returns the cell at a place, stage and index; the first of all reads one map alone."""
    stage, index = place
    halves = stage > 1 and index == 0
    named = {"in": newer} | ({"before": older} if older else {})
    sizes = tuple((name, read.channels) for name, read in named.items())
    settings = (("before_side", older.side),) if older else ()
    return Block(
        kind="cell",
        sizes=(*sizes, ("width", width), ("half", width // 2), ("out", genotype.nodes * width)),
        in_side=newer.side,
        slot=f"stage{stage}.{index}",
        stride=2 if halves else 1,
        settings=(*settings, *edge_settings(genotype.reduction if halves else genotype.normal)),
        inputs=(-1, -2) if older else (-1,),
        ranges=tuple((name, read.runs) for name, read in named.items() if read.runs),
    )


def _runs(nodes: int, width: int, widest: int) -> Ranges | None:
    """Returns where the channels of each node lie among those of the widest; None for all."""
    if width == widest:
        return None
    return tuple((node * widest, node * widest + width) for node in range(nodes))
