"""From shares to cells: each node keeps its two strongest edges, each edge its best operation."""

from hwsearch.kinds.cell import NONE, OPERATIONS, SKIP, Edge
from hwsearch.learn.cells.architecture import NORMAL, REDUCTION, Architecture
from hwsearch.spaces.genotype import EDGES_A_NODE, Genotype


def discretise(architecture: Architecture) -> Genotype:
    """Returns the cells that an architecture stands for (DARTS, arXiv 1806.09055).

    An edge is as strong as the largest share of an operation on it, `none` left out, times the
    edge's own weight. Of equals the first counts.
    """
    return Genotype(_strongest(architecture, NORMAL), _strongest(architecture, REDUCTION))


def _strongest(architecture: Architecture, kind: str) -> tuple[Edge, ...]:
    mix = architecture.mix(kind)
    rows = (mix.edges_E[:, None] * mix.operations_EO).tolist()
    ranked: dict[int, list[tuple[float, Edge]]] = {}
    for (node, source), shares in zip(architecture.edges, rows, strict=True):
        named = zip(shares, OPERATIONS, strict=True)
        share, operation = max((pair for pair in named if pair[1] != NONE), key=lambda p: p[0])
        ranked.setdefault(node, []).append((share, Edge(node, source, operation)))
    kept = (
        edge
        for edges in ranked.values()
        for _, edge in sorted(edges, key=lambda pair: -pair[0])[:EDGES_A_NODE]
    )
    return tuple(sorted(kept))


def skips(genotype: Genotype) -> int:
    """Returns how many of the normal cell's edges are skip connections.

    Differentiable search is known to drift to them: they need no training to be useful
    (arXiv 1909.06035, which stops at two of eight).
    """
    return sum(edge.operation == SKIP for edge in genotype.normal)


def alarm(genotype: Genotype, limit: int) -> str:
    """Says that a search may have collapsed; nothing if it has not.

    Args:
        genotype: What it stands for.
        limit: Most skip connections of a normal cell without a word.
    """
    count, edges = skips(genotype), len(genotype.normal)
    if count <= limit:
        return ""
    return (
        f"{count} of {edges} edges of the normal cell are skip connections, more than "
        f"--skip-limit {limit}: the search may have collapsed"
    )
