"""How much a network is expected to add to a front, its latency being known.

With one objective known, the expected hypervolume improvement (Emmerich et al. 2006) is a sum of
expected improvements: at each latency from the network's own on, of the front's distance there.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hwsearch.search.pareto import pareto_front


@dataclass(frozen=True)
class Front:
    """The steps of a front: `distances[i]` holds from `costs[i]` to `costs[i + 1]`.

    Attributes:
        costs: Rising latencies, or logarithms of them; first of all -∞, last of all the limit.
        distances: Least distance of a network that is no slower, float[steps].
    """

    costs: np.ndarray
    distances: np.ndarray

    @classmethod
    def of(cls, costs: np.ndarray, distances: np.ndarray, limit: float, worst: float) -> "Front":
        """Finds the steps of a front.

        Args:
            costs: Of evaluated networks, float[n]; may be empty.
            distances: Of the same, float[n].
            limit: Cost beyond which nothing counts.
            worst: Distance where nothing is known to be better, and above which nothing counts.
        """
        inside = (costs < limit) & (distances <= worst)
        costs, distances = costs[inside], distances[inside]
        kept = pareto_front(np.column_stack([costs, distances]))
        order = np.argsort(costs[kept])
        return cls(
            np.concatenate([[-np.inf], costs[kept][order], [limit]]),
            np.concatenate([[worst], distances[kept][order]]),
        )

    def volume(self, fastest: float) -> float:
        """Area between the front and the worst distance, from the fastest cost to the limit."""
        widths = np.diff(np.maximum(self.costs, fastest))
        return float(widths @ (self.distances[0] - self.distances))

    def expected_gain(
        self, costs: np.ndarray, mean: np.ndarray, spread: np.ndarray, offset: float
    ) -> np.ndarray:
        """Returns the expected growth of the volume by each of N networks alone.

        Args:
            costs: Of the networks, float[N].
            mean: Mean of `log(distance + offset)`, float[N].
            spread: Its standard deviation, float[N].
            offset: Added to a distance before its logarithm is taken.
        """
        widths = np.clip(self.costs[1:] - np.maximum(self.costs[:-1], costs[:, None]), 0, None)
        beaten = self.distances + offset
        depth = (np.log(beaten) - mean[:, None]) / spread[:, None]
        typical = np.exp(mean + spread**2 / 2)[:, None]
        better = beaten * ndtr(depth) - typical * ndtr(depth - spread[:, None])
        return (widths * np.maximum(better, 0)).sum(axis=1)
