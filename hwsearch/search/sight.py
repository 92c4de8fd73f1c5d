"""What a searcher sees of networks nobody has evaluated: codes, sizes, costs, earlier searches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwsearch.search.goal import Goal
from hwsearch.search.surrogate import Inputs, Surrogate
from hwsearch.space import Space


@dataclass(frozen=True)
class Archive:
    """Networks that were evaluated by an earlier search, perhaps with another distance.

    Attributes:
        codes: int[n, D] of the same space.
        distance: Not negative, float[n].
    """

    codes: np.ndarray
    distance: np.ndarray


class Sight:
    """From codes to the inputs of a surrogate, on scales that are comparable.

    Beside its code, a network is seen by the logarithms of its sizes, its number of blocks, its
    costs, and by what earlier searches let one believe of its distance in them.

    Args:
        space: Of the networks.
        goals: Whose costs are seen.
        pool: Networks that stand for all, int[N, D].
        earlier: Of the same space; a surrogate is fitted to each.

    Attributes:
        beliefs: A surrogate for each earlier search.
    """

    def __init__(
        self, space: Space, goals: Sequence[Goal], pool: np.ndarray, earlier: Sequence[Archive]
    ) -> None:
        self.space, self.goals = space, goals
        sizes = self._sizes(pool)
        self._mean, self._scale = sizes.mean(axis=0), np.maximum(sizes.std(axis=0), 1e-9)
        self.beliefs = [Surrogate.fit(self._own(one.codes), one.distance) for one in earlier]

    def inputs(self, codes: np.ndarray) -> Inputs:
        """Returns the inputs of networks int[N, D]."""
        own = self._own(codes)
        if not self.beliefs:
            return own
        logs = [(one.predict(own)[0] - one.centre) / one.scale for one in self.beliefs]
        return replace(own, hints=np.column_stack(logs))

    def _own(self, codes: np.ndarray) -> Inputs:
        return Inputs.of(self.space, codes, (self._sizes(codes) - self._mean) / self._scale)

    def _sizes(self, codes: np.ndarray) -> np.ndarray:
        space = self.space
        counts = [np.log(np.maximum(size(codes), 1)) for size in (space.macs, space.params)]
        costs = [goal.cost(codes) for goal in self.goals]
        return np.column_stack([*counts, space.block_counts(codes), *costs])
