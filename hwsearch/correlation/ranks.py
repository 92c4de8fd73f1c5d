"""Rank statistics of many draws at once.

Shapes: R draws, S networks, K covariates.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

_TINY = 1e-9


def spearman(first_RS: np.ndarray, second_RS: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row, ties sharing their mean rank; NaN if a row is constant.

    Returns:
        float[R].
    """
    return _pearson(rankdata(first_RS, axis=-1), rankdata(second_RS, axis=-1))


def covariate_axes(given_RSK: np.ndarray) -> np.ndarray:
    """Returns orthonormal axes of what the ranks of covariates and a constant span.

    Returns:
        float[R, S, K + 1]; axes that covariates share, or constant ones would add, are zero.
    """
    ranks_RSK = rankdata(given_RSK, axis=1)
    columns_RSK = np.concatenate([np.ones_like(ranks_RSK[..., :1]), ranks_RSK], axis=-1)
    scaled_RSK = columns_RSK / np.linalg.norm(columns_RSK, axis=1, keepdims=True)
    axes_RSK, sizes_RK, _ = np.linalg.svd(scaled_RSK, full_matrices=False)
    return axes_RSK * (sizes_RK > 1e-6)[:, None]


def partial_spearman(
    first_RS: np.ndarray, second_RS: np.ndarray, axes_RSK: np.ndarray
) -> np.ndarray:
    """Correlation of what of the ranks is left after a linear fit on the ranks of covariates.

    Args:
        first_RS: One variable.
        second_RS: The other one.
        axes_RSK: `covariate_axes` of the covariates.

    Returns:
        float[R]; NaN where nothing is left.
    """
    return _pearson(*(_left(rankdata(x, axis=-1), axes_RSK) for x in (first_RS, second_RS)))


def _left(ranks_RS: np.ndarray, axes_RSK: np.ndarray) -> np.ndarray:
    found_RK1 = axes_RSK.transpose(0, 2, 1) @ ranks_RS[..., None]
    return ranks_RS - (axes_RSK @ found_RK1)[..., 0]


def _pearson(first_RS: np.ndarray, second_RS: np.ndarray) -> np.ndarray:
    first = first_RS - first_RS.mean(-1, keepdims=True)
    second = second_RS - second_RS.mean(-1, keepdims=True)
    sizes = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    least = _TINY * first.shape[-1] ** 3
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sizes > least, (first * second).sum(-1) / sizes, np.nan)


def spearman_brown(half: np.ndarray) -> np.ndarray:
    """Reliability of a whole from the correlation of its halves: 2 ρ / (1 + ρ), not below 0."""
    kept = np.clip(half, 0, 1)
    return 2 * kept / (1 + kept)


def holm(probabilities: Sequence[float]) -> np.ndarray:
    """Corrects the p-values of several tests (Holm 1979); NaN is no test.

    Returns:
        Corrected p-values in the order given.
    """
    given = np.asarray(probabilities, dtype=float)
    corrected, tested = np.full(len(given), np.nan), np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    steps = given[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
