"""Gates: how likely each choice of each dimension is, from which networks are drawn.

Shapes: D dimensions, M most choices of one (those that a dimension lacks have probability 0),
N networks.
"""

from dataclasses import dataclass

import numpy as np

from hwsearch.space import Space


@dataclass(frozen=True)
class Gates:
    """Independent distributions over the choices of each dimension.

    Attributes:
        space: The networks.
        alpha_DM: Logits, float64; only those of choices that there are count.
    """

    space: Space
    alpha_DM: np.ndarray

    @classmethod
    def uniform(cls, space: Space) -> "Gates":
        """Returns gates to which all choices are alike."""
        return cls(space, np.zeros((len(space.dims), max(space.shape))))

    @property
    def exists_DM(self) -> np.ndarray:
        """Which choices there are, bool."""
        return np.arange(self.alpha_DM.shape[1]) < np.array(self.space.shape)[:, None]

    @property
    def log_p_DM(self) -> np.ndarray:
        """Logarithms of probabilities; -inf for choices that there are not."""
        logits = np.where(self.exists_DM, self.alpha_DM, -np.inf)
        logits = logits - logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    @property
    def p_DM(self) -> np.ndarray:
        """Probabilities."""
        return np.exp(self.log_p_DM)

    @property
    def mode(self) -> np.ndarray:
        """Code int[D] of the most probable network."""
        return self.log_p_DM.argmax(1)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws codes int[N, D] of networks."""
        ends_DM = self.p_DM.cumsum(1)
        places = rng.random((count, len(ends_DM)))
        codes = (places[..., None] >= ends_DM).sum(2)
        return np.minimum(codes, np.array(self.space.shape) - 1)  # sums may end just below 1

    def log_probability(self, codes: np.ndarray) -> np.ndarray:
        """Returns that of networks int[N, D], float[N]."""
        return self.log_p_DM[np.arange(codes.shape[1]), codes].sum(1)

    @property
    def entropy_D(self) -> np.ndarray:
        """Entropy of each dimension over the most that it can be, 0 (decided) to 1."""
        shares_DM = self.p_DM * np.where(self.exists_DM, self.log_p_DM, 0.0)
        return -shares_DM.sum(1) / np.log(np.maximum(self.space.shape, 2))

    def entropy_gradient(self) -> np.ndarray:
        """Returns the gradient of the sum of all entropies, in nats, by the logits [D, M]."""
        log_p_DM = np.where(self.exists_DM, self.log_p_DM, 0.0)
        entropy_D1 = -(self.p_DM * log_p_DM).sum(1, keepdims=True)
        return -self.p_DM * (log_p_DM + entropy_D1)

    def mean_gradient(self, values_DM: np.ndarray) -> np.ndarray:
        """Returns the gradient of the mean of a sum of one value a choice, by the logits [D, M]."""
        p_DM = self.p_DM
        return p_DM * (values_DM - (p_DM * values_DM).sum(1, keepdims=True))

    def score_gradient(self, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Estimates the gradient of a mean by the logits [D, M], without bias.

        Args:
            codes: Networks int[N, D] that were drawn from these gates, N ≥ 2.
            values: What they were found to have, float[N]; each is told from the mean of the
                others (leave-one-out baseline, as in arXiv 1906.00101).
        """
        advantage_N = (values - values.mean()) / (len(codes) - 1)
        return np.einsum("ndm,n->dm", chosen(codes, self.alpha_DM.shape[1]), advantage_N)

    def likeliest(self, count: int) -> np.ndarray:
        """Returns the codes of the most probable networks, int[N, D], the most probable first.

        A network is among the first `count` only if the start of its code is among the first
        `count` starts, so that dimensions are joined one after the other.
        """
        codes, log_p = np.zeros((1, 0), dtype=np.int64), np.zeros(1)
        for choices, log_p_M in zip(self.space.shape, self.log_p_DM, strict=True):
            joined = (log_p[:, None] + log_p_M[:choices]).ravel()
            kept = np.argsort(-joined, kind="stable")[:count]
            codes = np.column_stack([codes[kept // choices], kept % choices])
            log_p = joined[kept]
        return codes


def chosen(codes: np.ndarray, most: int) -> np.ndarray:
    """Marks the choices of networks int[N, D], float64[N, D, M]."""
    return (codes[..., None] == np.arange(most)).astype(np.float64)
