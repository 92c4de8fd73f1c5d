"""Scores of the spectrum of a network's pooled features: no teacher, and no second network.

Both were made to compare training runs of one network; between networks they follow its width.
"""

import numpy as np
import torch

from hwsearch.distance.students import Students, check_finite
from hwsearch.selfsup.losses import effective_rank
from hwsearch.space import Subnet

RANKS = (3, 100)
"""First and last eigenvalue, counted from 1, that the decay is fitted to: the first ones follow
their own laws, the last ones are of few images."""


class Spectrum:
    """RankMe and alpha-ReQ of the features of the target images.

    Args:
        students: The networks.
    """

    def __init__(self, students: Students) -> None:
        self._students = students

    def rank(self, subnet: Subnet) -> float:
        """Returns the effective rank (RankMe, arXiv 2210.02885), higher is better.

        Raises:
            HwsearchError: If features are not finite.
        """
        return float(effective_rank(torch.from_numpy(self._embeddings(subnet))))

    def decay_off_one(self, subnet: Subnet) -> float:
        """Returns |α - 1| (alpha-ReQ, NeurIPS 2022), lower is better.

        Raises:
            HwsearchError: If features are not finite.
        """
        return abs(decay(self._embeddings(subnet)) - 1)

    def _embeddings(self, subnet: Subnet) -> np.ndarray:
        embeddings_NE = self._students.embeddings(subnet)
        check_finite(embeddings_NE, str(subnet))
        return embeddings_NE


def decay(embeddings_NE: np.ndarray) -> float:
    """Exponent α of the power law i^-α by which eigenvalues of the covariance fall.

    A line through the logarithms, each point weighted by 1 / i, so that every decade counts alike.

    Args:
        embeddings_NE: Pooled features, float[N, E].
    """
    centred = embeddings_NE.astype(np.float64) - embeddings_NE.mean(0, dtype=np.float64)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    values = values[: np.linalg.matrix_rank(centred)]
    ranks = np.arange(1, len(values) + 1)
    chosen = (ranks >= min(RANKS[0], max(1, len(values) - 1))) & (ranks <= RANKS[1])
    if chosen.sum() < 2:
        return np.nan
    x, y = np.log(ranks[chosen]), np.log(values[chosen])
    return -float(np.polyfit(x, y, 1, w=ranks[chosen] ** -0.5)[0])
