"""Scores that are better when larger, turned into judges that are better when smaller."""

from collections.abc import Callable
from math import exp, inf, isfinite

from hwsearch.space import Subnet

Score = Callable[[Subnet], float]
"""From a network to a number, higher is better."""


class Falling:
    """A judge that orders networks against a score: exp(-score / |score of the maximum|).

    It is positive, as a distance is, whatever the scale of the score.

    Args:
        score: Higher is better.
        maximum: The largest network.
    """

    def __init__(self, score: Score, maximum: Subnet) -> None:
        self._score, self._maximum = score, maximum
        self._scale: float | None = None

    def __call__(self, subnet: Subnet) -> float:
        """Returns a number above 0, lower is better; not a finite one if the score is not."""
        if self._scale is None:
            self._scale = abs(self._score(self._maximum)) or 1.0
        power = -self._score(subnet) / self._scale
        return exp(power) if isfinite(power) and power < _MOST else inf


_MOST = 700.0
"""Just below the largest number whose power of e is finite."""
