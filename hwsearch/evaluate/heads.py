"""Heads on frozen features, and their cross-fitting: each image is judged by what others taught.

Shapes: M images to learn from, N to tell, E features, C classes.
"""

from collections.abc import Callable

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.evaluate.verdict import ClassVerdict

Head = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From features [M, E] with labels int[M] of all C classes, and features [N, E] of other images,
to the logarithms of their class probabilities, float64[N, C]."""


def cross_fit(
    head: Head, features: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> ClassVerdict:
    """Judges all images, those of each fold by a head that learned from the other folds.

    Args:
        head: What learns.
        features: float[N, E], or any shape that starts with N.
        labels: int[N], 0 to C - 1.
        folds: Fold of each image, int[N]; every class is outside of each.

    Raises:
        HwsearchError: If a feature is no number.
    """
    if not np.isfinite(features).all():
        raise HwsearchError(
            "some features are not finite", fix="Check the checkpoint; training may have diverged"
        )
    rows = features.reshape(len(features), -1).astype(np.float64)
    told_NC = np.empty((len(labels), labels.max() + 1))
    for fold in np.unique(folds):
        asked = folds == fold
        told_NC[asked] = head(rows[~asked], labels[~asked], rows[asked])
    return ClassVerdict.of(told_NC, labels)
