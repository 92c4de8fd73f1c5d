"""Balanced k-means: clusters of equal size, each one region of the feature space.

Shapes: N images, E features, G clusters.
"""

from dataclasses import dataclass

import numpy as np

ROUNDS = 30
"""Most rounds of assigning images and moving centroids."""

SWEEPS = 100
"""Most passes over the prices in a round."""

_STILL = 0.001
"""Share of images that may still change their cluster when the rounds end."""

_EQUAL = 0.005
"""How far sizes may be from equal when the prices are left alone, as a share of a size."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Clusters as regions: a power diagram, whose prices make the regions hold equally many.

    Attributes:
        centroids_GE: float64[G, E].
        prices_G: What is added to the squared distance to each centroid, float64[G].
    """

    centroids_GE: np.ndarray
    prices_G: np.ndarray

    def assign(self, features_NE: np.ndarray) -> np.ndarray:
        """Returns the cluster of each image, int64[N]."""
        return (squared_distances(features_NE, self.centroids_GE) + self.prices_G).argmin(axis=1)


def squared_distances(features_NE: np.ndarray, centroids_GE: np.ndarray) -> np.ndarray:
    """Returns squared Euclidean distances, float64[N, G]."""
    x_NE = features_NE.astype(np.float64)
    products_NG = x_NE @ centroids_GE.T
    squares_NG = (x_NE**2).sum(1)[:, None] + (centroids_GE**2).sum(1)
    return np.maximum(squares_NG - 2 * products_NG, 0.0)


def fit_partition(features_NE: np.ndarray, clusters: int, seed: int) -> Partition:
    """Finds clusters of equal size; equal seeds give equal clusters.

    Args:
        features_NE: N at least the number of clusters.
        clusters: How many.
        seed: Of the first centroids.
    """
    from sklearn.cluster import kmeans_plusplus

    x_NE = features_NE.astype(np.float64)
    first = seed % 2**32  # scikit-learn takes no larger one
    centroids_GE, _ = kmeans_plusplus(x_NE, clusters, random_state=first)
    prices_G, before_N = np.zeros(clusters), np.full(len(x_NE), -1)
    for _ in range(ROUNDS):
        costs_NG = squared_distances(x_NE, centroids_GE)
        prices_G = equal_prices(costs_NG, prices_G)
        found_N = (costs_NG + prices_G).argmin(axis=1)
        members = [x_NE[found_N == cluster] for cluster in range(clusters)]
        if not all(len(part) for part in members):  # images that are all alike cannot be told
            break
        centroids_GE = np.stack([part.mean(axis=0) for part in members])
        if (found_N != before_N).mean() <= _STILL:
            break
        before_N = found_N
    costs_NG = squared_distances(x_NE, centroids_GE)
    return Partition(centroids_GE, equal_prices(costs_NG, prices_G))


def equal_prices(costs_NG: np.ndarray, prices_G: np.ndarray) -> np.ndarray:
    """Returns prices with which the cheapest clusters are chosen equally often, float64[G].

    One price after another is moved to where its cluster has its share, the others being as they
    are: ascent along the coordinates of the dual of the assignment problem.

    Args:
        costs_NG: What each choice costs without prices.
        prices_G: Where to start.
    """
    prices_G, costs_GN = prices_G.copy(), np.ascontiguousarray(costs_NG.T)
    clusters, images = costs_GN.shape
    share = images / clusters
    last = min(round(share), images - 1)
    for _ in range(SWEEPS):
        totals_GN = costs_GN + prices_G[:, None]
        sizes_G = np.bincount(totals_GN.argmin(axis=0), minlength=clusters)
        if np.abs(sizes_G - share).max() <= max(1.0, _EQUAL * share):
            break
        # The least of all others is that of those before, already moved, and of those after.
        none_1N = np.full((1, images), np.inf)
        after_GN = np.minimum.accumulate(np.concatenate([none_1N, totals_GN[:0:-1]]))[::-1]
        before_N = none_1N[0]
        for cluster, costs_N in enumerate(costs_GN):
            margins_N = np.minimum(before_N, after_GN[cluster]) - costs_N
            middle = (images - 1 - last, images - last)
            prices_G[cluster] = np.partition(margins_N, middle)[list(middle)].sum() / 2
            before_N = np.minimum(before_N, costs_N + prices_G[cluster])
    return prices_G - prices_G.mean()
