"""The supernet: all networks of a space in one set of shared weights."""

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hwsearch.block import Block
from hwsearch.kinds import cost_of, layers_of
from hwsearch.nn.elastic import ElasticBlock, ElasticLayer
from hwsearch.nn.features import Features, run_blocks
from hwsearch.nn.static import StaticNet
from hwsearch.space import Space, Subnet


def module_name(slot: str) -> str:
    """Returns the name of the module that holds the shared weights of a slot."""
    return slot.replace(".", "_")


class Supernet(nn.Module):
    """Shared weights from which every subnet takes a prefix of channels and blocks.

    The subnet is an argument; nothing is ever active on the module.

    Args:
        space: The family of networks.
        residual_scale: Scale that the last norm of every residual branch starts with. DATA
            starts at 0, where each block is its shortcut; 1 learns sooner in short runs.

    Attributes:
        recomputes: Whether the backward pass computes the inside of each block again, instead of
            keeping it since the forward pass (arXiv 1604.06174).
    """

    recomputes: bool = False

    def __init__(self, space: Space, residual_scale: float = 0.0) -> None:
        super().__init__()
        self.space = space
        by_slot: dict[str, set[Block]] = defaultdict(set)
        for part in space.parts:
            for blocks in space.combinations(part):
                for block in blocks:
                    by_slot[block.slot].add(block)
        self.slots = nn.ModuleDict(
            {
                module_name(slot): ElasticBlock(blocks, residual_scale)
                for slot, blocks in by_slot.items()
            }
        )

    @property
    def embedding_width(self) -> int:
        """Most channels of the pooled output."""
        return cost_of(self.space.lower(self.space.maximum)[-1]).out_shape[0]

    def forward(self, x_BCHW: Tensor, subnet: Subnet) -> Features:
        """Runs one subnet under the statistics of the batch.

        Args:
            x_BCHW: Normalised images; scaled to the subnet's own side if that is another.
            subnet: Which network to run.
        """
        blocks = self.space.lower(subnet)
        return run_blocks(
            blocks,
            resized(x_BCHW, blocks[0].in_side),
            lambda _, block, *inputs: self._run_block(block, *inputs),
        )

    def _run_block(self, block: Block, *inputs: Tensor) -> Tensor:
        module = self.slots[module_name(block.slot)]
        if not (self.recomputes and torch.is_grad_enabled()):
            return module(block, *inputs)
        y = checkpoint(module, block, *inputs, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(y, Tensor)
        return y

    @torch.no_grad()
    def extract(self, subnet: Subnet) -> StaticNet:
        """Copies a subnet into a static network, in training mode and not yet calibrated.

        Under the same batch statistics, `extract(s)(x)` equals `supernet(x, s)` for images of
        the subnet's own side.
        """
        net = StaticNet(self.space.lower(subnet), initialised=False)
        for static in net.static_blocks:
            shared = self.slots[module_name(static.block.slot)]
            for layer in layers_of(static.block):
                elastic = getattr(shared, layer.name, None)
                if isinstance(elastic, ElasticLayer):
                    for name, value in elastic.sliced(layer, static.block).items():
                        static.put(layer, name, value)
        return net.to(next(self.parameters()).device)


def resized(x_BCHW: Tensor, side: int) -> Tensor:
    """Scales images, antialiased, to a side in pixels."""
    if x_BCHW.shape[-1] == side:
        return x_BCHW
    return F.interpolate(x_BCHW, (side, side), mode="bilinear", antialias=True)


def recompute_activations(module: nn.Module) -> None:
    """Makes every supernet in a module keep the inputs of blocks only, from now on."""
    for part in module.modules():
        if isinstance(part, Supernet):
            part.recomputes = True
