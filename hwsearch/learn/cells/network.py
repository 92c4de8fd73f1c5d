"""The network of a search over cells: every edge computes a mixture of all operations (DARTS).

Shapes: B batch, C channels, H W side, E edges, O operations.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.block import Block
from hwsearch.kinds.cell import INPUTS, NONE, OPERATIONS, POOLS, SKIP
from hwsearch.learn.cells.architecture import NORMAL, REDUCTION, Mix, edges_of_cell
from hwsearch.nn.elastic import ElasticBlock
from hwsearch.nn.supernet import Supernet, module_name
from hwsearch.nn.weights import NORM_EPS
from hwsearch.space import Space


class MixedEdge(nn.Module):
    """All operations on one edge, weighed by their shares.

    Norms do not scale, so that shares alone say how much an operation counts; pooling is followed
    by such a norm, which found networks leave out. With partial channels (PC-DARTS, arXiv
    1907.05737) only the first channels pass the operations, and the order of all is changed.

    Args:
        width: Channels in and out.
        side: Height and width of the input in pixels.
        stride: 2 where the map is halved.
        parts: One in so many channels is computed; 1 for all.
    """

    def __init__(self, width: int, side: int, stride: int, parts: int) -> None:
        super().__init__()
        self._stride, self._parts, self._computed = stride, parts, width // parts
        sizes = tuple((name, self._computed) for name in ("in", "width"))
        plain = Block("cell-edge", (*sizes, ("half", self._computed // 2)), side, "", stride=stride)
        self._blocks, self.operations = dict[str, Block](), nn.ModuleDict()
        for number, name in enumerate(OPERATIONS):
            if name != NONE and not (name == SKIP and stride == 1):
                block = replace(plain, settings=(("operation", number),))
                self._blocks[name] = block
                self.operations[name] = ElasticBlock([block])

    def forward(self, x_BCHW: Tensor, shares_O: Tensor) -> Tensor:
        """Computes the mixture, of the same number of channels."""
        used, rest = x_BCHW[:, : self._computed], x_BCHW[:, self._computed :]
        terms = [
            share * self._run(name, used)
            for name, share in zip(OPERATIONS, shares_O, strict=True)
            if name != NONE
        ]
        y = sum(terms[1:], start=terms[0])
        if self._parts == 1:
            return y
        rest = rest if self._stride == 1 else F.max_pool2d(rest, 2, 2)
        whole = torch.cat([y, rest], 1)
        return whole.unflatten(1, (self._parts, -1)).transpose(1, 2).flatten(1, 2)

    def _run(self, name: str, x: Tensor) -> Tensor:
        if name not in self._blocks:
            return x
        y = self.operations[name](self._blocks[name], x)
        if name in POOLS:
            return F.batch_norm(y, None, None, training=True, eps=NORM_EPS)
        return y


class MixedCell(nn.Module):
    """A cell with every edge that it can have.

    Args:
        block: The cell's place and sizes; its own edges do not matter.
        nodes: Nodes beside the inputs.
        parts: One in so many channels is computed; 1 for all.
    """

    def __init__(self, block: Block, nodes: int, parts: int) -> None:
        super().__init__()
        self._edges = edges_of_cell(nodes)
        self.kind = NORMAL if block.stride == 1 else REDUCTION
        width, side = block.size("width"), block.in_side
        older = block.in_shapes[-1]
        self._newer = _entry(block.size("in"), width, side, 1)
        self._older = _entry(older[0], width, older[1], older[1] // side)
        self.newer, self.older = ElasticBlock([self._newer]), ElasticBlock([self._older])
        self.edges = nn.ModuleList(
            MixedEdge(
                width,
                side if source < INPUTS else side // block.stride,
                block.stride if source < INPUTS else 1,
                parts,
            )
            for _, source in self._edges
        )
        _leave_unscaled(self)

    def forward(self, mix: Mix, newer: Tensor, older: Tensor | None = None) -> Tensor:
        """Computes the cell from the outputs of the two before it; the first has one input."""
        older = newer if older is None else older
        states = [self.older(self._older, older), self.newer(self._newer, newer)]
        sums: dict[int, Tensor] = {}
        for at, (node, source) in enumerate(self._edges):
            if node > len(states):
                states.append(sums[node - 1])
            term = mix.edges_E[at] * self.edges[at](states[source], mix.operations_EO[at])
            sums[node] = sums[node] + term if node in sums else term
        return torch.cat(list(sums.values()), 1)


def _entry(channels: int, width: int, side: int, stride: int) -> Block:
    sizes = (("in", channels), ("width", width), ("half", width // 2))
    return Block("cell-entry", sizes, side, "", stride=stride)


def _leave_unscaled(module: nn.Module) -> None:
    """Keeps the norms of a module from learning a scale or a shift."""
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2] in ("scale", "shift"):
            parameter.requires_grad = False


class SearchNet(Supernet):
    """A supernet whose cells are mixtures; it holds weights alone, not the architecture.

    Args:
        space: One network of cells: how many there are, and how wide.
        nodes: Nodes of a cell beside its inputs.
        mix: Tells the shares in cells of a kind.
        parts: One in so many channels is computed; 1 for all.
    """

    def __init__(self, space: Space, nodes: int, mix: Callable[[str], Mix], parts: int = 1) -> None:
        nn.Module.__init__(self)
        self.space, self._mix = space, mix
        self.slots = nn.ModuleDict(
            {
                module_name(block.slot): (
                    MixedCell(block, nodes, parts)
                    if block.kind == "cell"
                    else ElasticBlock([block])
                )
                for block in space.lower(space.maximum)
            }
        )

    def _run_block(self, block: Block, *inputs: Tensor) -> Tensor:
        module = self.slots[module_name(block.slot)]
        if isinstance(module, MixedCell):
            return module(self._mix(module.kind), *inputs)
        return module(block, *inputs)
