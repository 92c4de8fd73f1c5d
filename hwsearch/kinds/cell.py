"""Cells of differentiable architecture search (DARTS, arXiv 1806.09055), and their parts.

A cell reads the outputs of the two cells before it. Each of its nodes is the sum of two operations
on earlier nodes, and its output is all nodes' channels, one node after the other. What is inside is
told by settings such as ("node2_from0", 4): node 2 applies operation 4 to node 0. Nodes 0 and 1
are the inputs, the older one first.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hwsearch.block import Block
from hwsearch.cell_layers import Concat, Pool, Relu, Shift
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import BEFORE, INPUT, Add, Conv, Layer

NONE, SKIP = "none", "skip"

OPERATIONS = (NONE, SKIP, "max-pool-3", "mean-pool-3", "separable-3", "separable-5", "dilated-3")
"""What an edge can compute; a cell's settings hold the position here."""

POOLS = ("max-pool-3", "mean-pool-3")
"""Operations that end in no batch norm."""

INPUTS = 2
"""Nodes of a cell that are its inputs."""


class Edge(NamedTuple):
    """An operation inside a cell.

    Attributes:
        node: Number of the node that it adds to.
        source: Number of the earlier node that it reads.
        operation: Name of what it computes.
    """

    node: int
    source: int
    operation: str


def edge_settings(edges: Iterable[Edge]) -> tuple[tuple[str, int], ...]:
    """Returns the settings of a cell with such edges."""
    return tuple((f"node{n}_from{s}", OPERATIONS.index(name)) for n, s, name in sorted(edges))


def edges_of(block: Block) -> tuple[Edge, ...]:
    """Returns the edges of a cell, by node and then by source."""
    found = []
    for name, number in block.settings:
        node, joint, source = name.removeprefix("node").partition("_from")
        if joint:
            found.append(Edge(int(node), int(source), OPERATIONS[number]))
    return tuple(sorted(found))


@register_kind("cell")
def _cell(block: Block) -> tuple[Layer, ...]:
    layers = [*_older(block), *_adapted("newer", INPUT, "in")]
    states, summed = {0: "older", 1: "newer"}, dict[int, str]()
    for node, source, operation in edges_of(block):
        stride = block.stride if source < INPUTS else 1
        name = f"node{node}_from{source}_{operation.replace('-', '_')}"
        made = operation_layers(operation, name, states[source], stride)
        layers += made
        term = made[-1].name if made else states[source]
        if node in summed:
            states[node] = f"node{node}"
            layers.append(Add(states[node], summed[node], term))
        summed[node] = term
    first, *others = (states[node] for node in sorted(summed))
    return (*layers, Concat("nodes", first, tuple(others), "out"))


def _older(block: Block) -> tuple[Layer, ...]:
    """Returns what makes the older input as wide and as small as the newer one."""
    if len(block.inputs) == 1:
        return _adapted("older", INPUT, "in")
    if block.setting("before_side") == block.in_side:
        return _adapted("older", BEFORE, "before")
    return _halved("older", BEFORE, "before")


@register_kind("cell-entry")
def _entry(block: Block) -> tuple[Layer, ...]:
    make = _adapted if block.stride == 1 else _halved
    return make("entry", INPUT, "in")


@register_kind("cell-edge")
def _edge(block: Block) -> tuple[Layer, ...]:
    operation = OPERATIONS[block.setting("operation")]
    return operation_layers(operation, "edge", INPUT, block.stride)


def operation_layers(operation: str, name: str, source: str, stride: int) -> tuple[Layer, ...]:
    """Returns the layers of an operation on a map of "width" channels.

    Args:
        operation: One of `OPERATIONS`, but not `NONE`.
        name: Starts the names of the layers.
        source: The layer that it reads.
        stride: 2 where it halves the map.

    Returns:
        None where nothing is computed: a skip connection without stride.
    """
    if operation == SKIP:
        return () if stride == 1 else _halved(name, source, "width")
    if operation in POOLS:
        return (Pool(name, source, "max" if operation == "max-pool-3" else "mean", stride),)
    what, _, kernel = operation.partition("-")
    if what == "dilated":
        return _depthwise(name, source, int(kernel), stride, dilation=2)
    first = _depthwise(f"{name}_a", source, int(kernel), stride)
    return (*first, *_depthwise(f"{name}_b", first[-1].name, int(kernel), 1))


def _depthwise(
    name: str, source: str, kernel: int, stride: int, dilation: int = 1
) -> tuple[Layer, ...]:
    relu, depth = f"{name}_relu", f"{name}_depth"
    depthwise = Conv(
        depth,
        relu,
        "width",
        "width",
        kernel,
        stride,
        activation="none",
        norm=False,
        depthwise=True,
        dilation=dilation,
        bias=False,
    )
    point = Conv(f"{name}_point", depth, "width", "width", activation="none")
    return (Relu(relu, source), depthwise, point)


def _adapted(name: str, source: str, channels: str) -> tuple[Layer, ...]:
    """Returns a 1×1 convolution to "width" channels, the rectifier before it."""
    relu = f"{name}_relu"
    return (Relu(relu, source), Conv(name, relu, channels, "width", activation="none"))


def _halved(name: str, source: str, channels: str) -> tuple[Layer, ...]:
    """Returns the same with stride 2: half of the channels see every other pixel, half the next."""
    relu, even, shift, odd = (f"{name}_{part}" for part in ("relu", "even", "shift", "odd"))
    return (
        Relu(relu, source),
        Conv(even, relu, channels, "half", 1, 2, "none"),
        Shift(shift, relu),
        Conv(odd, shift, channels, "half", 1, 2, "none"),
        Concat(name, even, (odd,), "width"),
    )
