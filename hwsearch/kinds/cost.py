"""What a block takes of a device, derived from its layers."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache
from math import prod

from hwsearch.block import Block, Shape
from hwsearch.kinds.registry import input_names, layers_of, shapes_of

NUMBER_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Size of one number, by precision; scales, biases and what is left in floats are not counted."""


@dataclass(frozen=True)
class Cost:
    """What one block takes.

    Attributes:
        macs: Multiply-accumulates for one image.
        params: Learned parameters.
        weight_elements: Numbers that an engine holds, batch norms folded into convolutions.
        read_elements: Input elements of all layers for one image.
        written_elements: Output elements of all layers for one image.
        peak_elements: Most elements alive at once for one image; see `peak_elements`.
        out_shape: Shape of the block's output: channels, height, width.
    """

    macs: int
    params: int
    weight_elements: int
    read_elements: int
    written_elements: int
    peak_elements: int
    out_shape: Shape


@cache
def cost_of(block: Block) -> Cost:
    """Walks the layers of a block and counts what they take for one image."""
    shapes, layers = shapes_of(block), layers_of(block)
    macs = params = held = read = written = 0
    for layer in layers:
        source = shapes[layer.source]
        macs += layer.macs(block, source)
        params += sum(prod(shape) for shape in layer.weights(block, source).values())
        held += layer.shipped_elements(block, source)
        read += sum(prod(shapes[name]) for name in layer.sources)
        written += prod(shapes[layer.name])
    peak = _peak(block, frozenset())
    return Cost(macs, params, held, read, written, peak, shapes[layers[-1].name])


@cache
def _peak(block: Block, kept: Set[str]) -> int:
    """Most elements alive at once inside a block, its inputs among them; some to the end."""
    shapes, layers = shapes_of(block), layers_of(block)
    last_use = {name: place for place, layer in enumerate(layers) for name in layer.sources}
    last_use |= dict.fromkeys(kept, len(layers))
    alive, peak = set(input_names(block)), 0
    for place, layer in enumerate(layers):
        later = {name for name in alive if last_use.get(name, -1) > place}
        for stage in layer.stages(block, shapes[layer.source]):
            held = later | set(stage.reads)
            peak = max(peak, stage.elements + sum(prod(shapes[name]) for name in held))
        alive = later | {layer.name}
    return peak


def peak_elements(blocks: Sequence[Block]) -> int:
    """Most elements of feature maps alive at once while a network runs on one image.

    Counted while a layer runs: its inputs, its output, and what later layers still need; the
    image counts until the first block has read it. That is what ONNX Runtime asks its allocator
    for when it keeps the plain layout and nothing longer than needed. An engine may get by with
    less by fusing sums into convolutions, or need more for scratch and padded channels. The
    branches of cells it runs in an order of its own, and holds 1.2 to 1.45 times as much (8
    networks).

    Args:
        blocks: A lowered network, with or without head and preprocessing.
    """
    return max(block_peaks(blocks), default=0)


def block_peaks(blocks: Sequence[Block]) -> list[int]:
    """Returns the elements alive at once while each of a run of blocks runs; see above."""
    last_use = {at + offset: at for at, block in enumerate(blocks) for offset in block.inputs}
    peaks = []
    for place, block in enumerate(blocks):
        waiting = [at for at in range(place) if last_use.get(at, -1) > place]
        others = {at for at in waiting if at - place not in block.inputs}
        kept = sum(prod(cost_of(blocks[at]).out_shape) for at in others)
        named = zip(input_names(block), block.inputs, strict=True)
        read_again = {name for name, offset in named if last_use[place + offset] > place}
        peaks.append(_peak(block, frozenset(read_again)) + kept)
    return peaks


def total_macs(blocks: Iterable[Block]) -> int:
    """Multiply-accumulates of a run of blocks for one image."""
    return sum(cost_of(block).macs for block in blocks)


def total_weights(blocks: Iterable[Block]) -> int:
    """Numbers that an engine of a run of blocks holds."""
    return sum(cost_of(block).weight_elements for block in blocks)


def total_params(blocks: Iterable[Block]) -> int:
    """Learned parameters of a run of blocks."""
    return sum(cost_of(block).params for block in blocks)
