"""What a network says about a batch of images, at several scales."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from hwsearch.block import Block
from hwsearch.kinds import cost_of


class Features(NamedTuple):
    """Outputs of a network for one batch.

    Attributes:
        levels: Feature maps at the ends of the stages, each [B, C, H, W], fine to coarse.
        outputs: What the network gives, by name; vectors are [B, E].
    """

    levels: tuple[Tensor, ...]
    outputs: dict[str, Tensor]

    @property
    def embedding(self) -> Tensor:
        """The pooled output, [B, E]."""
        return self.outputs["embedding"]


def run_blocks(blocks: tuple[Block, ...], x: Tensor, run: Callable[..., Tensor]) -> Features:
    """Feeds images through blocks and collects tapped levels and outputs.

    Args:
        blocks: The lowered network.
        x: Input of the first block.
        run: Runs one block, given its position, the block and its inputs.
    """
    alive, levels, outputs = {-1: x}, [], {}
    last_use = {at + offset: at for at, block in enumerate(blocks) for offset in block.inputs}
    for position, block in enumerate(blocks):
        inputs = [alive[position + offset] for offset in block.inputs]
        y = alive[position] = run(position, block, *inputs)
        if block.tap is not None:
            levels.append(_as_map(y, block))
        if block.output:
            vector = cost_of(block).out_shape[1:] == (1, 1)
            outputs[block.output] = y.flatten(1) if vector else _as_map(y, block)
        alive = {at: value for at, value in alive.items() if last_use.get(at, -1) > position}
    return Features(tuple(levels), outputs)


def _as_map(y: Tensor, block: Block) -> Tensor:
    """Turns tokens [B, N, C] into a map [B, C, H, W]; a map stays one."""
    if y.dim() == 4:
        return y
    return y.transpose(1, 2).unflatten(2, cost_of(block).out_shape[1:])
