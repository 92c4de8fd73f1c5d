"""Input resolution as a dimension of any family."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.space import Dim, Part, Space, Values

SIDE = "side"
"""Name of the dimension."""


def elastic_side(name: str, sides: Sequence[int], build: Callable[[int], Space]) -> Space:
    """Makes the input side the first dimension of a family; weights are shared by all sides.

    Args:
        name: Registered name.
        sides: Height and width of the input image in pixels, rising.
        build: The family at one side.
    """
    at = {side: build(side) for side in sides}
    largest = at[sides[-1]]
    dims = (Dim(SIDE, tuple(sides), prefix=False), *largest.dims)

    def part(number: int) -> Part:
        def lower(values: Values) -> tuple[Block, ...]:
            return at[values[SIDE]].parts[number].lower(values)

        kept = largest.parts[number]
        return replace(kept, dims=(SIDE, *kept.dims), lower=lower)

    parts = tuple(part(number) for number in range(len(largest.parts)))
    return Space(name, largest.input_shape, dims, parts)


def halved(side: int, stride: int, *, where: str) -> int:
    """Returns the side of a map after a stride, in pixels.

    Args:
        side: Height and width before, in pixels.
        stride: 1 keeps the side.
        where: What strides, for the message.

    Raises:
        HwsearchError: If the map is too small to be halved.
    """
    if side < stride:
        raise HwsearchError(
            f"{where} cannot halve a {side}×{side} map: the input side is too small",
            fix="Use a larger input side, or a space for smaller images",
        )
    return -(-side // stride)
