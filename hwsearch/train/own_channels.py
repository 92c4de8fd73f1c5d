"""Channels of other groups, which a step of one path leaves as they are, to the bit.

Groups share tensors, and an optimiser moves all of a tensor: weight decay and momentum would go on
where no gradient came. Here they are as if each group had tensors of its own, but for what an
optimiser holds of a whole tensor: AdamW's count of steps, the lengths that LARS compares.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hwsearch.block import Block
from hwsearch.kinds import layers_of
from hwsearch.nn import Supernet
from hwsearch.nn.elastic import ElasticLayer
from hwsearch.nn.supernet import module_name
from hwsearch.space import Subnet


class OwnChannels:
    """What the paths of a supernet have of its tensors.

    Args:
        supernet: With groups of channels.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        self._known: dict[Block, dict[nn.Parameter, Tensor]] = {}

    @contextmanager
    def alone(self, subnet: Subnet, optimiser: Optimizer) -> Iterator[None]:
        """Undoes, when the block ends, what a step does outside of the channels of a path.

        Args:
            subnet: The path.
            optimiser: What takes the step in the block; its memory is kept likewise.
        """
        parts = self._parts(subnet)
        before = {
            parameter: (parameter.detach().clone(), _memory(optimiser, parameter, copied=True))
            for parameter in parts
        }
        yield
        with torch.no_grad():
            for parameter, own in parts.items():
                weight, memory = before[parameter]
                parameter.copy_(torch.where(own, parameter, weight))
                for kind, value in _memory(optimiser, parameter).items():
                    value.copy_(torch.where(own, value, memory.get(kind, torch.zeros_like(value))))

    def _parts(self, subnet: Subnet) -> dict[nn.Parameter, Tensor]:
        """Returns, of each tensor that a path has a part of, which elements are in it, bool."""
        found = {}
        for block in self._supernet.space.lower(subnet):
            if block.ranges and block not in self._known:
                self._known[block] = self._parts_of(block)
            found |= self._known.get(block, {})
        return found

    def _parts_of(self, block: Block) -> dict[nn.Parameter, Tensor]:
        """Finds the elements that a block takes by a gradient that is 1 in each of them."""
        shared, found = self._supernet.slots[module_name(block.slot)], {}
        for layer in layers_of(block):
            elastic = getattr(shared, layer.name, None)
            if not isinstance(elastic, ElasticLayer):
                continue
            for name, part in elastic.sliced(layer, block).items():
                parameter = elastic.get_parameter(name)
                (gradient,) = torch.autograd.grad(part.sum(), parameter)
                if not gradient.all():
                    found[parameter] = gradient != 0
        return found


def _memory(
    optimiser: Optimizer, parameter: nn.Parameter, *, copied: bool = False
) -> dict[str, Tensor]:
    """Returns what an optimiser remembers of each element of a tensor."""
    return {
        kind: value.clone() if copied else value
        for kind, value in optimiser.state[parameter].items()
        if isinstance(value, Tensor) and value.shape == parameter.shape
    }
