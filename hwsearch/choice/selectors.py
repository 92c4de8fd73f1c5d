"""Selectors: from what is known of all networks to a preference among those within a limit.

Shapes: R sets of weights of the images, C networks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import rankdata

from hwsearch.choice.gather import Told
from hwsearch.choice.options import FrozenJudge
from hwsearch.choice.pools import LEARNED, PATHS, SUPERNET, Pool
from hwsearch.evaluate.verdict import Verdict, values

ORACLE, RANDOM, ELSEWHERE, NEIGHBOURS = "oracle", "random", "best elsewhere", "route-knn"
LABELLED = (ORACLE, NEIGHBOURS)
"""Selectors that look at labels of the task."""

Prefer = Callable[[np.ndarray, np.ndarray, str], np.ndarray]
"""From weights of the task's images, float[R, N], which networks are within the limit, bool[C], and
the measure that is to be good, to how much each is liked: float[R, C] by labels of the task,
float[1, C] without; -inf where it cannot be chosen. Of equally liked ones each is chosen as
often."""


@dataclass(frozen=True, eq=False)
class Networks:
    """All networks, pool after pool.

    Attributes:
        names: Names of the networks, C of them.
        pools: Name of the pool of each.
    """

    names: tuple[str, ...]
    pools: tuple[str, ...]

    @classmethod
    def of(cls, pools: Sequence[Pool]) -> "Networks":
        """Lists the networks of pools in their order."""
        return cls(
            tuple(name for pool in pools for name in pool.networks),
            tuple(pool.name for pool in pools for _ in pool.networks),
        )

    def among(self, pool: str) -> np.ndarray:
        """Tells which networks are of a pool; the learned ones are of one, bool[C]."""
        return np.array([name.startswith(pool) for name in self.pools])


def selectors_of(
    told: Sequence[Told], at: int, networks: Networks, latency_C: np.ndarray, judge: FrozenJudge
) -> Mapping[str, Prefer]:
    """Returns all selectors of one task under some conditions, by name.

    Args:
        told: What is known of every task.
        at: Which of them is asked about.
        networks: All networks.
        latency_C: Their predicted latencies.
        judge: Who says how good a network is.
    """
    task, supernet = told[at], networks.among(SUPERNET)
    found: dict[str, Prefer] = {
        ORACLE: lambda weights_RN, within_C, measure: values(
            task.verdicts[judge], measure, weights_RN
        )
    }
    for name, scores_C in task.scores.items():
        found[name] = _fixed(-scores_C)
    found[RANDOM] = _fixed(np.where(supernet, 0.0, -np.inf))
    if others := [one.verdicts[judge] for one in (*told[:at], *told[at + 1 :])]:
        found[ELSEWHERE] = _elsewhere(others, supernet)
    if (paths := networks.among(PATHS)).any():
        found[NEIGHBOURS] = lambda weights_RN, within_C, measure: np.where(
            paths, values(task.verdicts["knn"], "accuracy", weights_RN), -np.inf
        )
    if (learned := networks.among(LEARNED)).any():
        found[LEARNED] = _fixed(np.where(learned, latency_C, -np.inf))
    return found


def _fixed(liked_C: np.ndarray) -> Prefer:
    return lambda weights_RN, within_C, measure: liked_C[None]


def _elsewhere(others: Sequence[Sequence[Sequence[Verdict]]], allowed_C: np.ndarray) -> Prefer:
    """Prefers what has the best mean rank on other tasks among the networks within the limit."""

    @cache
    def found(measure: str) -> list[np.ndarray]:
        return [values(one, measure, np.ones((1, len(one[0][0])), "f4"))[0] for one in others]

    def prefer(weights_RN: np.ndarray, within_C: np.ndarray, measure: str) -> np.ndarray:
        asked = np.flatnonzero(within_C & allowed_C)
        liked_C = np.full(len(within_C), -np.inf)
        liked_C[asked] = np.mean([rankdata(good_C[asked]) for good_C in found(measure)], axis=0)
        return liked_C[None]

    return prefer
