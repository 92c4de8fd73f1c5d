"""What a search enlarges: one front for each device, of what is allowed there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.search.objectives import Objective
from hwsearch.space import POOL, Space


@dataclass(frozen=True)
class Goal:
    """One front: distance against what networks cost on one device.

    Attributes:
        cost: Such as latency or its logarithm; cheap, lower is better.
        excess: By how much networks miss the limits of the device; kept if ≤ 0. None: no limits.
    """

    cost: Objective
    excess: Objective | None = None

    def allows(self, codes: np.ndarray) -> np.ndarray:
        """Marks the networks int[N, D] that keep the limits, bool[N]."""
        return np.ones(len(codes), bool) if self.excess is None else self.excess(codes) <= 0

    def tabulated(self, space: Space) -> "Goal":
        """Returns the same goal, computed once for each network where the space is not too large.

        Raises:
            HwsearchError: If a cost is not a finite number.
        """
        if space.size > POOL:
            return self
        excess = None if self.excess is None else _looked_up(space, self.excess)
        return Goal(_looked_up(space, self.cost), excess)


def _looked_up(space: Space, objective: Objective) -> Objective:
    every = space.all_codes()
    values = objective(every)
    require_numbers(space, every, values, "cost")
    return lambda codes: values[np.ravel_multi_index(tuple(codes.T), space.shape)]


def require_numbers(space: Space, codes: np.ndarray, values: np.ndarray, what: str) -> None:
    """Refuses an objective's answer that is not one number for each network.

    Args:
        space: Space of the codes.
        codes: What was asked for, int[N, D].
        values: The answer; -∞ is allowed, the excess of a device without limits.
        what: Name of the objective.

    Raises:
        HwsearchError: If it is of another shape, or one is not a number.
    """
    if np.shape(values) != (len(codes),):
        raise HwsearchError(
            f"the {what} of {len(codes)} networks came as an array of shape {np.shape(values)}",
            fix=f"Return one number for each network, float[{len(codes)}]",
        )
    bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
    if len(bad):
        raise HwsearchError(
            f"the {what} of network {space.decode(codes[bad[0]])} is {values[bad[0]]}",
            fix="An objective must give a finite number for every network",
        )


def answers(space: Space, distance: Objective, codes: np.ndarray) -> np.ndarray:
    """Asks a dear objective for networks int[n, D], float[n].

    Raises:
        HwsearchError: If it raises, or does not give a finite number for each.
    """
    try:
        found = distance(codes)
    except HwsearchError:
        raise
    except Exception as cause:
        first = space.decode(codes[0])
        raise HwsearchError(
            f"the distance of {len(codes)} networks from {first} on failed: "
            f"{type(cause).__name__}: {cause}",
            fix="Correct the objective; the same search goes on with what it knows",
        ) from cause
    require_numbers(space, codes, found, "distance")
    return found


def allowed(goals: Sequence[Goal], codes: np.ndarray) -> np.ndarray:
    """Marks the networks int[N, D] that at least one device allows, bool[N]."""
    return np.any([goal.allows(codes) for goal in goals], axis=0)


def least_excess(goals: Sequence[Goal], codes: np.ndarray) -> np.ndarray:
    """Returns by how much networks miss what the most lenient device allows, float[N]."""
    free = np.full(len(codes), -1.0)
    every = [free if goal.excess is None else goal.excess(codes) for goal in goals]
    return np.min(every, axis=0)
