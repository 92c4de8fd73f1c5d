"""Random numbers that are a function of where they are used, not of what was drawn before."""

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: np.ndarray) -> np.ndarray:
    """Scrambles 64-bit states with the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def hashes(*counters: int | np.ndarray) -> np.ndarray:
    """Hashes integers that say where a number is used, such as seed, epoch and sample index.

    The same counters give the same numbers in any order, process or batch.

    Args:
        counters: Integers from 0 to 2⁶³-1, or arrays of them that broadcast together.

    Returns:
        uint64 of the broadcast shape.
    """
    state = np.zeros(1, dtype=np.uint64)
    for counter in counters:
        state = _mix((state ^ np.asarray(counter).astype(np.uint64)) + _GAMMA)
    return state if any(np.ndim(counter) for counter in counters) else state[0]


def uniform(*counters: int | np.ndarray) -> np.ndarray:
    """Returns numbers in [0, 1), float64, one for each place that the counters name."""
    return (hashes(*counters) >> np.uint64(11)) * 2.0**-53


def permutation(length: int, *counters: int) -> np.ndarray:
    """Returns 0 to length - 1 in an order that the counters choose, int64[length]."""
    return np.argsort(hashes(*counters, np.arange(length)), kind="stable")
