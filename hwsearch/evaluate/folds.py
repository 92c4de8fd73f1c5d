"""Folds: every labelled image is asked about once, by what has learned from the others."""

import numpy as np

from hwsearch.data.draws import permutation

FOLDS = 5
"""Parts that labelled images are split into, where nothing else is asked for."""


def stratified_folds(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Deals the images of each class out to the folds in turn, in a random order.

    Where one class ends, the next goes on, so that folds differ by one image at most, in all and
    of each class.

    Args:
        labels: Class of each image, int[N].
        count: Number of folds, 2 or more.
        seed: Chooses the order.

    Returns:
        Fold of each image, 0 to count - 1, int64[N].
    """
    order = permutation(len(labels), seed)
    dealt = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[dealt] = np.arange(len(labels)) % count
    return folds
