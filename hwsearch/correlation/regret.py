"""Regret: how far what is chosen is below the best network.

Labels choose by one half of the images and are told by the other: the best of many on the same
images would be too good by chance.

Shapes: H splits, N images, R draws, S networks.
"""

import numpy as np

from hwsearch.data.draws import permutation


def halves(images: int, splits: int, *counters: int) -> np.ndarray:
    """Splits the images at random, as often as asked.

    Args:
        images: How many there are.
        splits: How often.
        counters: Choose the splits.

    Returns:
        1 for the images of one half and 0 for those of the other, float32[H, N].
    """
    every = [permutation(images, *counters, split) % 2 for split in range(splits)]
    return np.stack(every).astype(np.float32)


def shares(liked_RS: np.ndarray) -> np.ndarray:
    """Returns how often each network is chosen, equally liked ones as often, float[R, S]."""
    best_RS = liked_RS == liked_RS.max(1, keepdims=True)
    return best_RS / best_RS.sum(1, keepdims=True)


def regret(liked_RS: np.ndarray, one_RS: np.ndarray, other_RS: np.ndarray) -> np.ndarray:
    """Returns how far what is liked is below what labels choose, float[R].

    Args:
        liked_RS: How much each network is liked.
        one_RS: How good each is on one half of the images.
        other_RS: The same on the other half; each half is told by the choice of the other.
    """
    liked_RS = shares(liked_RS)
    ways = ((one_RS, other_RS), (other_RS, one_RS))
    return np.mean([((shares(by) - liked_RS) * told).sum(1) for by, told in ways], axis=0)
