"""The register of block kinds: each a function from a block to its layers.

The elastic module, the static module, multiply-accumulates, parameters, memory and shapes are
all derived from that one description, so a new kind is one function and nothing elsewhere.
"""

from collections.abc import Callable
from functools import cache

from hwsearch.block import Block, Shape
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.layers import BEFORE, INPUT, Layer, Layout

Kind = Callable[[Block], tuple[Layer, ...]]
_KINDS: dict[str, Kind] = {}


def register_kind(name: str) -> Callable[[Kind], Kind]:
    """Registers a function from a block to its layers under the name of a block kind.

    Raises:
        HwsearchError: If another kind has that name.
    """

    def keep(kind: Kind) -> Kind:
        if name in _KINDS:
            raise HwsearchError(
                f"there are two block kinds '{name}'", fix="Give your own another name"
            )
        _KINDS[name] = kind
        return kind

    return keep


@cache
def layers_of(block: Block) -> tuple[Layer, ...]:
    """Returns the layers of a block in the order in which they run; the last is its output.

    Raises:
        HwsearchError: If the block's kind is not registered.
    """
    kind = block.kind.partition(":")[0]
    if kind not in _KINDS:
        raise unknown_name("block kind", kind, _KINDS)
    return _KINDS[kind](block)


@cache
def shapes_of(block: Block) -> dict[str, Shape]:
    """Returns the shapes of the inputs and of every layer's output, by name of the layer."""
    shapes = dict(zip(input_names(block), block.in_shapes, strict=True))
    for layer in layers_of(block):
        shapes[layer.name] = layer.out_shape(block, shapes[layer.source])
    return shapes


def input_names(block: Block) -> tuple[str, ...]:
    """Returns the names by which layers refer to the block's inputs, in their order."""
    return (INPUT, BEFORE)[: len(block.inputs)]


def input_layout(block: Block) -> Layout:
    """Returns how the block's input lies in memory: as its first reader wants it."""
    for layer in layers_of(block):
        if INPUT in layer.sources and layer.takes:
            return layer.takes
    return "map"
