"""How alike tasks order networks, and how alike two seeds of one task do: the noise ceiling.

Shapes: R draws (the first row is no draw), S networks, K seeds, T tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.ranks import spearman

FEWEST = 4
"""Networks below which a rank correlation says nothing."""

LEAST_RELIABLE = 0.05
"""Test-retest correlation of a task below which nothing is divided by it."""


@dataclass(frozen=True)
class Draws:
    """Which networks, and which seeds of each, every draw has.

    Attributes:
        rows_RS: Networks, drawn with return.
        seeds_RSK: Seeds of each, drawn with return.
    """

    rows_RS: np.ndarray
    seeds_RSK: np.ndarray

    @classmethod
    def make(cls, networks: int, seeds: int, count: int, seed: int) -> "Draws":
        """Draws networks, then seeds of each; the first row is everything as it is."""
        rng = np.random.default_rng(seed)
        rows_RS = rng.integers(networks, size=(count + 1, networks))
        seeds_RSK = rng.integers(seeds, size=(count + 1, networks, seeds))
        rows_RS[0], seeds_RSK[0] = np.arange(networks), np.arange(seeds)
        return cls(rows_RS, seeds_RSK)

    def means(self, scores_SKT: np.ndarray) -> np.ndarray:
        """Returns the mean over the drawn seeds of the drawn networks, float[R, S, T]."""
        drawn = scores_SKT[self.rows_RS[:, :, None], self.seeds_RSK]
        return drawn.mean(axis=2)


@dataclass(frozen=True)
class Pair:
    """How alike two tasks order networks.

    Attributes:
        measure: Of the results.
        task: One task.
        other: The other one.
        spearman: Of the means over seeds.
        kendall: Kendall's tau-b, likewise.
        across: Spearman's ρ of different seeds: their noise is not shared.
        disattenuated: `across` over the geometric mean of both tasks' test-retest correlations:
            what it would be without noise (Spearman 1904).
    """

    measure: str
    task: str
    other: str
    spearman: Interval
    kendall: Interval
    across: Interval
    disattenuated: Interval


@dataclass(frozen=True)
class Ceiling:
    """How well a task's own noise lets anything order its networks.

    Attributes:
        measure: Of the results.
        task: The task.
        retest: Spearman's ρ of two seeds, the mean over pairs of them.
        reliability: That of the mean over all seeds (Spearman and Brown); its square root bounds
            any correlation with it.
    """

    measure: str
    task: str
    retest: Interval
    reliability: Interval


def correlate_tasks(
    measure: str, tasks: Sequence[str], scores_SKT: np.ndarray, draws: Draws
) -> tuple[list[Ceiling], list[Pair]]:
    """Correlates all pairs of tasks, and the seeds of each.

    Args:
        measure: Its name.
        tasks: Names of T tasks.
        scores_SKT: How good networks are.
        draws: Networks and seeds that give the intervals.
    """
    means_RST = draws.means(scores_SKT)
    kendall_RTT, across_RTT = kendall(means_RST), across_seeds(scores_SKT, draws.rows_RS)
    seeds = scores_SKT.shape[1]
    ceilings = []
    for at, task in enumerate(tasks):
        retest_R = across_RTT[:, at, at]
        whole = Interval.of(stepped_up(retest_R, seeds), 0, 1)
        ceilings.append(Ceiling(measure, task, Interval.of(retest_R, -1, 1), whole))
    pairs = []
    for one, two in combinations(range(len(tasks)), 2):
        pure_R = disattenuated(
            across_RTT[:, one, two], across_RTT[:, one, one], across_RTT[:, two, two]
        )
        pairs.append(
            Pair(
                measure,
                tasks[one],
                tasks[two],
                Interval.of(spearman(means_RST[..., one], means_RST[..., two]), -1, 1),
                Interval.of(kendall_RTT[:, one, two], -1, 1),
                Interval.of(across_RTT[:, one, two], -1, 1),
                Interval.of(pure_R),
            )
        )
    return ceilings, pairs


def kendall(scores_RST: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of all pairs of tasks, float[R, T, T]; NaN where all networks are equal.

    It is the cosine between the signs of all differences.
    """
    found = []
    for scores_ST in scores_RST:
        signs_TP = np.sign(scores_ST[:, None] - scores_ST[None]).reshape(-1, scores_ST.shape[1]).T
        products_TT = signs_TP @ signs_TP.T
        sizes_T = np.sqrt(np.diag(products_TT))
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(products_TT / np.outer(sizes_T, sizes_T))
    return np.stack(found)


def across_seeds(scores_SKT: np.ndarray, rows_RS: np.ndarray) -> np.ndarray:
    """Spearman's ρ between tasks of different seeds, float[R, T, T]; NaN with one seed.

    The mean over all pairs of different seeds, so that the noise of a run, which all tasks of a
    seed share, raises nothing. The diagonal is the test-retest correlation of each task.
    """
    seeds, tasks = scores_SKT.shape[1:]
    if seeds < 2:
        return np.full((len(rows_RS), tasks, tasks), np.nan)
    found = []
    for rows_S in rows_RS:
        ranks_SKT = rankdata(scores_SKT[rows_S], axis=0)
        centred = (ranks_SKT - ranks_SKT.mean(0)).reshape(len(rows_S), -1)
        sizes = np.linalg.norm(centred, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = centred.T @ centred / np.outer(sizes, sizes)
        rho_KTKT = rho.reshape(seeds, tasks, seeds, tasks)
        found.append(np.mean([rho_KTKT[k, :, other] for k, other in _pairs(seeds)], axis=0))
    return np.stack(found)


def _pairs(seeds: int) -> Iterator[tuple[int, int]]:
    """Yields all ordered pairs of different seeds."""
    return ((k, other) for k in range(seeds) for other in range(seeds) if k != other)


def disattenuated(across: np.ndarray, retest: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Divides a correlation by what noise lets it reach; NaN where a task has noise only.

    Values above 1 in size are estimates of 1 with their own noise.
    """
    reliable = np.minimum(retest, other) >= LEAST_RELIABLE
    reach = np.sqrt(np.where(reliable, retest * other, np.nan))
    return across / reach


def stepped_up(retest: np.ndarray, seeds: int) -> np.ndarray:
    """Reliability of the mean of several seeds from that of one (Spearman and Brown)."""
    kept = np.clip(retest, 0, 1)
    return seeds * kept / (1 + (seeds - 1) * kept)
