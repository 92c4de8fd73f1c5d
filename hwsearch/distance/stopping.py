"""When a network is hopeless: the first images show that the rest cannot save it."""

import numpy as np
from scipy.special import stdtrit

FIRST_LOOK = 64
"""Images after which the first decision is made; each later one is made after twice as many."""

ERROR = 0.01
"""Probability, at most and for one network, of stopping although it would have met the limit."""


def hopeless(rows: np.ndarray, total: int, limit: float) -> bool:
    """Tells whether the mean over all images is above a limit, as far as the first ones show.

    The images are in random order, so the first ones are a sample without replacement. The lower
    bound is Student's, with the correction for a finite population; `ERROR` is shared equally by
    all decisions that a network may meet.

    Args:
        rows: Distances of the first images.
        total: Number of all images.
        limit: What the mean must not exceed.
    """
    seen, looks = len(rows), _looks(total)
    if seen not in looks:
        return False
    left = (total - seen) / total
    deviation = np.std(rows, ddof=1) * np.sqrt(left / seen)
    quantile = stdtrit(seen - 1, 1 - ERROR / len(looks))
    return bool(np.mean(rows) - quantile * deviation > limit)


def _looks(total: int) -> tuple[int, ...]:
    """Returns the numbers of images after which a decision is made."""
    looks, at = [], FIRST_LOOK
    while at < total:
        looks.append(at)
        at *= 2
    return tuple(looks)
