"""The cluster tree: every node splits its images into equally many, down to the leaves.

Shapes: N images, E features, L levels, G children of a node.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from hwsearch.clusters.balanced import Partition, fit_partition, squared_distances
from hwsearch.data.draws import permutation
from hwsearch.errors import HwsearchError

Node = tuple[int, ...]
"""A node by the choices that lead to it; the root is ()."""

SAMPLE = 50_000
"""Images that the clusters of a node are found by; all of its images are then assigned."""

FEWEST = 8
"""Images below which a child is no cluster."""

_CHUNK = 65_536
_TOLD = 2_000
"""Images that a silhouette is told by."""


@dataclass(frozen=True, eq=False)
class Split:
    """How one node is split, and how well.

    Attributes:
        node: The node.
        partition: Its children.
        sizes: Images of each child.
        silhouette: Mean over images of how much nearer their own centroid is than the next,
            -1 to 1.
    """

    node: Node
    partition: Partition
    sizes: tuple[int, ...]
    silhouette: float

    @property
    def balance(self) -> float:
        """The smallest child's size as a share of the largest one's."""
        return min(self.sizes) / max(self.sizes)

    def as_row(self) -> dict[str, Any]:
        """Returns it as a row of the journal."""
        return {
            "node": list(self.node),
            "sizes": list(self.sizes),
            "silhouette": round(self.silhouette, 4),
            "prices": self.partition.prices_G.tolist(),
            "centroids": self.partition.centroids_GE.tolist(),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Split":
        """Reads what `as_row` wrote."""
        partition = Partition(np.array(row["centroids"]), np.array(row["prices"]))
        return cls(tuple(row["node"]), partition, tuple(row["sizes"]), row["silhouette"])


@dataclass(frozen=True, eq=False)
class ClusterTree:
    """A grown tree.

    Attributes:
        children: Of each node.
        levels: From the root to the leaves.
        splits: By node, without the leaves.
    """

    children: int
    levels: int
    splits: Mapping[Node, Split]

    @property
    def leaves(self) -> tuple[Node, ...]:
        """All leaves in order."""
        return tuple(product(range(self.children), repeat=self.levels))

    def assign(self, features_NE: np.ndarray) -> np.ndarray:
        """Returns the path of each image to its leaf, int64[N, L]."""
        paths_NL = np.zeros((len(features_NE), self.levels), dtype=np.int64)
        for level in range(self.levels):
            for node in product(range(self.children), repeat=level):
                rows = np.flatnonzero((paths_NL[:, :level] == node).all(axis=1))
                if len(rows):
                    found = self.splits[node].partition.assign(features_NE[rows])
                    paths_NL[rows, level] = found
        return paths_NL

    def leaf_numbers(self, features_NE: np.ndarray) -> np.ndarray:
        """Returns the leaf of each image by its place in `leaves`, -1 without features, int64[N].

        Args:
            features_NE: Also a memory map; NaN where an image has none.
        """
        digits_L = self.children ** np.arange(self.levels - 1, -1, -1)
        found_N = np.full(len(features_NE), -1)
        for start in range(0, len(features_NE), _CHUNK):
            part = np.asarray(features_NE[start : start + _CHUNK])
            usable = np.isfinite(part[:, 0])
            found_N[start : start + len(part)][usable] = self.assign(part[usable]) @ digits_L
        return found_N


def grow_tree(
    features_NE: np.ndarray,
    *,
    children: int,
    levels: int,
    seed: int = 0,
    usable_N: np.ndarray | None = None,
    known: Mapping[Node, Split] | None = None,
    record: Callable[[Split], None] = lambda split: None,
) -> ClusterTree:
    """Splits images level by level; only parts of the features are in memory at a time.

    Args:
        features_NE: L2-normalised features, also a memory map.
        children: Of each node.
        levels: From the root to the leaves.
        seed: Of all draws.
        usable_N: Which images have features, bool[N]; all by default.
        known: Splits of an earlier, unfinished run.
        record: Is told each new split.

    Raises:
        HwsearchError: If a node has too few images for its children.
    """
    splits, paths_NL = dict(known or {}), np.zeros((len(features_NE), levels), dtype=np.int16)
    usable_N = np.ones(len(features_NE), dtype=bool) if usable_N is None else usable_N
    for level in range(levels):
        for node in product(range(children), repeat=level):
            rows = np.flatnonzero((paths_NL[:, :level] == node).all(axis=1) & usable_N)
            new = node not in splits
            if new:
                splits[node] = _split(features_NE, rows, node, children, seed)
            for part in _chunks(rows):
                paths_NL[part, level] = splits[node].partition.assign(features_NE[part])
            if new:
                sizes = np.bincount(paths_NL[rows, level], minlength=children)
                splits[node] = Split(
                    node, splits[node].partition, tuple(sizes.tolist()), splits[node].silhouette
                )
                record(splits[node])
    return ClusterTree(children, levels, splits)


def _split(
    features_NE: np.ndarray, rows: np.ndarray, node: Node, children: int, seed: int
) -> Split:
    """Finds the clusters of a node by a sample of its images; the sizes are that of the sample."""
    if len(rows) < FEWEST * children:
        raise HwsearchError(
            f"node {name_of(node)} has {len(rows)} images, too few for {children} clusters of "
            f"{FEWEST} or more",
            fix="Give more --images, or use fewer --levels or --children",
        )
    drawn = np.sort(rows[permutation(len(rows), seed, *node)[:SAMPLE]])
    sample_NE = np.asarray(features_NE[drawn])
    partition = fit_partition(sample_NE, children, seed)
    sizes = np.bincount(partition.assign(sample_NE), minlength=children)
    told = sample_NE[permutation(len(sample_NE), seed)[:_TOLD]]
    return Split(node, partition, tuple(sizes.tolist()), silhouette(told, partition))


def silhouette(features_NE: np.ndarray, partition: Partition) -> float:
    """Returns the simplified silhouette: distances to centroids stand for those to all images."""
    distances_NG = np.sqrt(squared_distances(features_NE, partition.centroids_GE))
    own_N = partition.assign(features_NE)
    rows = np.arange(len(own_N))
    inside_N = distances_NG[rows, own_N]
    distances_NG[rows, own_N] = np.inf
    outside_N = distances_NG.min(axis=1)
    larger_N = np.maximum(np.maximum(inside_N, outside_N), np.finfo(float).tiny)
    return float(((outside_N - inside_N) / larger_N).mean())


def name_of(node: Node) -> str:
    """Returns a node's name, such as "2.0"."""
    return ".".join(map(str, node)) or "root"


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
