"""Blocks: the indivisible units that every network here is made of."""

from dataclasses import dataclass
from functools import cached_property

Shape = tuple[int, int, int]
"""Channels, height, width of one feature map, without the batch."""

Ranges = tuple[tuple[int, int], ...]
"""Runs of channels, each from the first to before the last."""


@dataclass(frozen=True)
class Block:
    """One stem, residual block, cell or head, with frozen sizes.

    Attributes:
        kind: Registered name of what the block computes (see `hwsearch.kinds`). What follows a
            colon tells two blocks of a kind apart that no size does.
        sizes: Named channel counts, such as ("in", 64), ("inner", 16), ("out", 64); "before" is
            that of a second input.
        in_side: Height and width of the input in pixels.
        kernel: Side of the block's spatial convolution in pixels.
        stride: Down-sampling factor of the block's spatial convolution.
        settings: Named numbers that are no channel counts, such as ("heads", 6); "before_side" is
            the height and width of a second input in pixels.
        slot: Name of the shared weights the block takes its own from.
        inputs: One or two earlier blocks that feed this one, as offsets (-1 is the previous block).
        tap: Feature level that the block ends, or None.
        output: Name of the network's output that the block gives, or empty.
        ranges: For sizes whose channels are no prefix of the shared ones, by name: first and last
            plus one of each run of shared channels that is taken, in order.
    """

    kind: str
    sizes: tuple[tuple[str, int], ...]
    in_side: int
    slot: str
    kernel: int = 1
    stride: int = 1
    settings: tuple[tuple[str, int], ...] = ()
    inputs: tuple[int, ...] = (-1,)
    tap: int | None = None
    output: str = ""
    ranges: tuple[tuple[str, Ranges], ...] = ()

    def size(self, name: str) -> int:
        """Returns the number of channels that a size name stands for."""
        return self._size_of[name]

    def ranges_of(self, name: str | None) -> Ranges | None:
        """Returns the runs of shared channels that a size takes; None if it takes a prefix."""
        return dict(self.ranges).get(name) if name else None

    def setting(self, name: str) -> int:
        """Returns the number that a setting's name stands for."""
        return dict(self.settings)[name]

    @cached_property
    def _size_of(self) -> dict[str, int]:
        return dict(self.sizes)

    @cached_property
    def key(self) -> str:
        """All that a device can tell: blocks of equal keys cost equally much."""
        sizes = ",".join(f"{name}={count}" for name, count in self.sizes)
        settings = "".join(f",{name}={number}" for name, number in self.settings)
        return f"{self.kind}({sizes},k={self.kernel},s={self.stride}{settings})@{self.in_side}"

    @property
    def in_shape(self) -> Shape:
        """Shape of the input feature map: channels, height, width."""
        return (self.size("in"), self.in_side, self.in_side)

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Shapes of all inputs, in their order."""
        if len(self.inputs) == 1:
            return (self.in_shape,)
        side = self.setting("before_side")
        return (self.in_shape, (self.size("before"), side, side))
