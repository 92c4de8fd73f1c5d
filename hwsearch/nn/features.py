"""What a network says about a batch of images, at several scales."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from hwsearch.block import Block


class Features(NamedTuple):
    """Outputs of a network for one batch.

    Attributes:
        levels: Feature maps at the ends of the stages, each [B, C, H, W], fine to coarse.
        embedding: Pooled output, [B, E].
    """

    levels: tuple[Tensor, ...]
    embedding: Tensor


def run_blocks(
    blocks: tuple[Block, ...], x_BCHW: Tensor, run: Callable[[int, Block, Tensor], Tensor]
) -> Features:
    """Feeds images through consecutive blocks and collects the tapped levels.

    Args:
        blocks: The lowered network.
        x_BCHW: Normalised images.
        run: Runs one block, given its position, the block and its input.
    """
    levels = []
    for position, block in enumerate(blocks):
        assert block.inputs == (-1,), f"{block.slot} does not follow the previous block"
        x_BCHW = run(position, block, x_BCHW)
        if block.tap is not None:
            levels.append(x_BCHW)
    return Features(tuple(levels), x_BCHW.flatten(1))
