"""How much each operation counts in a search over cells: the architecture's own parameters.

Shapes: E edges of a cell, O operations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwsearch.kinds.cell import INPUTS, OPERATIONS

NORMAL, REDUCTION = "normal", "reduction"
KINDS = (NORMAL, REDUCTION)
START_STD = 1e-3
"""Spread of the parameters at the start, as in DARTS: all operations count about equally."""


def edges_of_cell(nodes: int) -> tuple[tuple[int, int], ...]:
    """Returns every edge that a cell can have, as node and source, in the order of E."""
    ends = range(INPUTS, INPUTS + nodes)
    return tuple((node, source) for node in ends for source in range(node))


@dataclass(frozen=True)
class Mix:
    """Shares of all operations in cells of one kind.

    Attributes:
        operations_EO: Share of each operation on an edge; those of an edge sum to 1.
        edges_E: Weight of each edge; those into a node sum to 1, or all are 1.
    """

    operations_EO: Tensor
    edges_E: Tensor


class Architecture(nn.Module):
    """Parameters whose softmax is a mix: of operations, and of edges if these are weighed.

    Args:
        nodes: Nodes of a cell beside its inputs.
        weighs_edges: Whether edges into a node compete, too (PC-DARTS, arXiv 1907.05737).
        seed: Of the start.
    """

    def __init__(self, nodes: int, *, weighs_edges: bool, seed: int) -> None:
        super().__init__()
        self.edges = edges_of_cell(nodes)
        rng = torch.Generator().manual_seed(seed)
        for kind in KINDS:
            start = torch.randn(len(self.edges), len(OPERATIONS), generator=rng)
            self.register_parameter(f"{kind}_operations", nn.Parameter(START_STD * start))
            if weighs_edges:
                start = torch.randn(len(self.edges), generator=rng)
                self.register_parameter(f"{kind}_edges", nn.Parameter(START_STD * start))
        self._weighs_edges = weighs_edges

    def mix(self, kind: str) -> Mix:
        """Returns the shares in cells of a kind."""
        shares_EO = self.get_parameter(f"{kind}_operations").softmax(1)
        if not self._weighs_edges:
            return Mix(shares_EO, shares_EO.new_ones(len(self.edges)))
        logits_E = self.get_parameter(f"{kind}_edges")
        return Mix(shares_EO, torch.cat([part.softmax(0) for part in self._by_node(logits_E)]))

    def _by_node(self, values_E: Tensor) -> tuple[Tensor, ...]:
        nodes = sorted({node for node, _ in self.edges})
        return values_E.split(nodes)  # node n reads all n nodes before it

    @torch.no_grad()
    def shares(self) -> Iterator[tuple[str, float]]:
        """Yields every share by name, such as "normal/2<0/skip"."""
        for kind in KINDS:
            mix = self.mix(kind)
            for (node, source), edge, row in zip(
                self.edges, mix.edges_E.tolist(), mix.operations_EO.tolist(), strict=True
            ):
                if self._weighs_edges:
                    yield edge_name(kind, node, source), edge
                for operation, share in zip(OPERATIONS, row, strict=True):
                    yield f"{edge_name(kind, node, source)}/{operation}", share


def edge_name(kind: str, node: int, source: int) -> str:
    """Returns what an edge is called in the log."""
    return f"{kind}/{node}<{source}"
