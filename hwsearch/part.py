"""Parts: runs of blocks that depend on few of a space's dimensions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hwsearch.block import Block
from hwsearch.subnet import Values


@dataclass(frozen=True)
class Part:
    """A run of consecutive blocks and the few dimensions that it depends on.

    Attributes:
        name: Unique in the space.
        dims: Names of the dimensions that `lower` reads.
        lower: From values of those dimensions to the blocks of the part.
    """

    name: str
    dims: tuple[str, ...]
    lower: Callable[[Values], tuple[Block, ...]] = field(repr=False)
