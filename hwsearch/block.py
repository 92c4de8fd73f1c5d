"""Blocks: the indivisible units that every network here is made of."""

from dataclasses import dataclass
from functools import cached_property

Shape = tuple[int, int, int]
"""Channels, height, width of one feature map, without the batch."""


@dataclass(frozen=True)
class Block:
    """One stem, residual block, cell or head, with frozen sizes.

    Attributes:
        kind: Registered name of what the block computes (see `hwsearch.layers`).
        sizes: Named channel counts, such as ("in", 64), ("inner", 16), ("out", 64).
        in_side: Height and width of the input in pixels.
        kernel: Side of the block's spatial convolution in pixels.
        stride: Down-sampling factor of the block's spatial convolution.
        slot: Name of the shared weights the block takes its own from.
        inputs: Earlier blocks that feed this one, as offsets (-1 is the previous block).
        tap: Feature level that the block ends, or None.
    """

    kind: str
    sizes: tuple[tuple[str, int], ...]
    in_side: int
    slot: str
    kernel: int = 1
    stride: int = 1
    inputs: tuple[int, ...] = (-1,)
    tap: int | None = None

    def size(self, name: str) -> int:
        """Returns the number of channels that a size name stands for."""
        return self._size_of[name]

    @cached_property
    def _size_of(self) -> dict[str, int]:
        return dict(self.sizes)

    @cached_property
    def key(self) -> str:
        """Everything but slot, inputs and tap: equal keys cost equally much on a device."""
        sizes = ",".join(f"{name}={count}" for name, count in self.sizes)
        return f"{self.kind}({sizes},k={self.kernel},s={self.stride})@{self.in_side}"

    @property
    def in_shape(self) -> Shape:
        """Shape of the input feature map: channels, height, width."""
        return (self.size("in"), self.in_side, self.in_side)
