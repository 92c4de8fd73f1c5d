"""The nearest-neighbour head: the share of neighbours of a class is its probability."""

from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.knn import neighbour_votes


@dataclass(frozen=True)
class NeighbourHead:
    """Class probabilities (n + ½) / (k + C / 2), n of the k nearest neighbours being of a class.

    The half a neighbour of every class (Jeffreys' prior) keeps the log-loss finite.

    Attributes:
        k: Number of neighbours, in cosine distance.
    """

    k: int

    def __call__(
        self, features_ME: np.ndarray, labels_M: np.ndarray, asked_NE: np.ndarray
    ) -> np.ndarray:
        """Returns the logarithms of class probabilities, float64[N, C]; see `Head`.

        Raises:
            HwsearchError: If there are fewer than k images to learn from.
        """
        if len(labels_M) < self.k:
            raise HwsearchError(
                f"{self.k} neighbours cannot be taken from {len(labels_M)} labelled images",
                fix=f"Use --k 1 to {len(labels_M)}",
            )
        votes_NC = neighbour_votes(features_ME, labels_M, asked_NE, self.k)
        votes_NC += 0.5
        return np.log(votes_NC / votes_NC.sum(1, keepdims=True))
