"""Paths as dimensions of any convolutional family: sub-nets with channels of their own (SDR).

In each stage the inner channels of a block are shared ones and those of several groups. A path
chooses a group for each stage, or all of them; what flows from block to block stays shared, so that
no block depends on which group another takes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.space import Dim, Part, Space, Values

ALL = "all"
"""A path's choice of every group: the network that was there before paths."""

SHARED = 0.5
"""Share of a block's inner channels that all groups use."""

MOST_GROUPS = 16

_SPLIT = {"basic": "basic-split", "basic-projected": "basic-split-projected"}
"""Kinds whose inner channels have no size of their own, and the same with one."""


@dataclass(frozen=True)
class Split:
    """How many inner channels are shared, and how many each group has.

    Attributes:
        shared: Channels of all groups.
        own: Channels of each group.
    """

    shared: int
    own: int

    @classmethod
    def of(cls, width: int, groups: int) -> "Split":
        """Splits the inner channels of a whole block; both parts hold one channel at least."""
        own = max(1, round(width * (1 - SHARED) / groups))
        return cls(max(1, width - groups * own), own)


def with_paths(space: Space, groups: int, name: str) -> Space:
    """Adds a dimension to choose a group by, for each stage of a family.

    Args:
        space: The family.
        groups: How many there are in each stage.
        name: Of the new space.

    Raises:
        HwsearchError: If the number is out of bounds, or the blocks have no inner channels.
    """
    if not 2 <= groups <= MOST_GROUPS:
        raise HwsearchError(
            f"space '{name}' would have {groups} groups", fix=f"Write 2 to {MOST_GROUPS} after ^"
        )
    dims, parts = [], []
    for part in space.parts:
        largest = _largest(blocks for blocks in space.combinations(part))
        if not largest:
            parts.append(part)
            continue
        dims.append(Dim(f"path{len(dims) + 1}", (*map(str, range(groups)), ALL), prefix=False))
        parts.append(_routed_part(part, dims[-1], largest, groups))
    if not dims:
        raise HwsearchError(
            f"the networks of space '{space.name}' have no convolutions inside their blocks",
            fix="Use paths with a convolutional family, such as bottleneck-32^4",
        )
    return Space(name, space.input_shape, (*space.dims, *dims), tuple(parts))


def path_dims(space: Space) -> tuple[Dim, ...]:
    """Returns the dimensions of a space that choose groups, one a stage; none without paths."""
    return tuple(dim for dim in space.dims if dim.choices[-1] == ALL)


def _largest(combinations: Iterable[tuple[Block, ...]]) -> dict[str, int]:
    """Returns the most inner channels of each slot whose blocks are to be split."""
    found: dict[str, int] = {}
    for blocks in combinations:
        for block in map(_with_inner, blocks):
            if block is not None:
                found[block.slot] = max(found.get(block.slot, 0), block.size("inner"))
    return found


def _with_inner(block: Block) -> Block | None:
    """Returns a block with a size for its inner channels, or None if it has no such channels."""
    if block.kind in _SPLIT:
        width = block.size("out")
        sizes = (("in", block.size("in")), ("inner", width), ("out", width))
        return replace(block, kind=_SPLIT[block.kind], sizes=sizes)
    convolution = block.kernel > 1 and "inner" in dict(block.sizes)
    return block if convolution else None


def _routed_part(part: Part, dim: Dim, largest: Mapping[str, int], groups: int) -> Part:
    def lower(values: Values) -> tuple[Block, ...]:
        blocks, path = part.lower(values), values[dim.name]
        chosen = range(groups) if path == ALL else (int(path),)
        return tuple(_routed(block, chosen, largest, groups) for block in blocks)

    return Part(part.name, (*part.dims, dim.name), lower)


def _routed(block: Block, chosen: Iterable[int], largest: Mapping[str, int], groups: int) -> Block:
    """Returns a block with the shared inner channels and those of the chosen groups."""
    inner = _with_inner(block)
    if inner is None:
        return block
    most, split = Split.of(largest[block.slot], groups), Split.of(inner.size("inner"), groups)
    runs = [(0, split.shared)]
    for group in chosen:
        start = most.shared + group * most.own
        runs.append((start, start + split.own))
    width = sum(stop - start for start, stop in runs)
    sizes = tuple((name, width if name == "inner" else size) for name, size in inner.sizes)
    return replace(inner, sizes=sizes, ranges=(("inner", tuple(runs)),))
