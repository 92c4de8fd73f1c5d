"""Regret: how far what a selector chooses is below the best network within the limit.

Whatever sees labels, the oracle among them, chooses by one half of the images and is told by the
other: the best of many on the same images would be too good by chance. It chooses by the measure
that the regret is told in, or what is best by one would be below 0 in the other.

Shapes: D draws, the first of which is of all images as they are; N images, C networks, H halves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.choice.selectors import ORACLE, Prefer
from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.ranks import spearman
from hwsearch.correlation.regret import halves, shares
from hwsearch.evaluate.verdict import ClassVerdict, Verdict, values, whole_and_drawn

SPLITS = 10
"""Random splits of the images into halves that each draw is the mean of."""

FEWEST_RANKED = 4
"""Networks below which a rank correlation says nothing."""

MEASURES = ClassVerdict.measures

NAMED_BY = "accuracy"
"""Measure of the choice that is named, as it is of the points that are told first."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """What one selector does on one task within one limit.

    Attributes:
        selector: Its name.
        network: What it chooses by accuracy, knowing all images; the first of several that it likes
            as well.
        regret: By measure, float[D], and the measure of what was chosen less that of the oracle's.
        rho: Spearman's correlation of its preference with the result by the first measure,
            float[D]; NaN for few. On all images, but of labels' preference on the other half.
    """

    selector: str
    network: int
    regret: Mapping[str, np.ndarray]
    rho: np.ndarray


def choose_all(
    verdicts: Sequence[Sequence[Verdict]],
    selectors: Mapping[str, Prefer],
    within_C: np.ndarray,
    *,
    draws: int,
    seed: int,
) -> tuple[Chosen, ...]:
    """Lets every selector choose among the networks within a limit.

    A selector that can choose none of them is left out.

    Args:
        verdicts: Of each network, one a seed.
        selectors: By name, the oracle among them.
        within_C: Which networks are within the limit, one at least.
        draws: Resamples of the images.
        seed: Chooses them.
    """
    images = len(verdicts[0][0])
    weights_DN = whole_and_drawn(images, draws, seed)
    one_HN = halves(images, SPLITS)
    both_HN = np.concatenate([one_HN, 1 - one_HN])
    gained: dict[str, dict[str, list[float]]] = {}
    rho: dict[str, list[float]] = {}
    named = {
        name: np.where(within_C, prefer(weights_DN[:1], within_C, NAMED_BY)[0], -np.inf)
        for name, prefer in selectors.items()
    }
    usable = {
        name: selectors[name] for name, liked_C in named.items() if np.isfinite(liked_C).any()
    }
    for weights_N in weights_DN:
        choosing_HN = weights_N * both_HN
        telling_HN = weights_N * (1 - both_HN)
        told = {measure: values(verdicts, measure, telling_HN) for measure in MEASURES}
        whole_1C = values(verdicts, MEASURES[0], weights_N[None])
        for name, prefer in usable.items():
            gained.setdefault(name, {measure: [] for measure in MEASURES})
            for measure, good_HC in told.items():
                liked_HC = np.where(within_C, prefer(choosing_HN, within_C, measure), -np.inf)
                gained[name][measure].append(float((shares(liked_HC) * good_HC).sum(1).mean()))
                if measure == MEASURES[0]:
                    blind = len(liked_HC) == 1
                    rho.setdefault(name, []).append(_rho(liked_HC, whole_1C if blind else good_HC))
    best = {measure: np.array(gained[ORACLE][measure]) for measure in MEASURES}
    return tuple(
        Chosen(
            name,
            int(named[name].argmax()),
            {measure: best[measure] - np.array(gained[name][measure]) for measure in MEASURES},
            np.array(rho[name]),
        )
        for name in usable
    )


def _rho(liked_HC: np.ndarray, good_HC: np.ndarray) -> float:
    ranked_C = np.isfinite(liked_HC[0])
    if ranked_C.sum() < FEWEST_RANKED:
        return np.nan
    liked = np.broadcast_to(liked_HC, good_HC.shape)[:, ranked_C]
    return float(spearman(liked, good_HC[:, ranked_C]).mean())


def over_tasks(
    drawn: Sequence[np.ndarray], seed: int, least: float = -np.inf, most: float = np.inf
) -> Interval:
    """Returns the mean over tasks, with an interval over tasks and their images.

    Args:
        drawn: Of each task, float[D]; NaN where there is none.
        seed: Draws the tasks.
        least: Least possible value.
        most: Largest possible value.
    """
    every_TD = np.stack(drawn)
    every_TD = every_TD[np.isfinite(every_TD[:, 0])]
    if not len(every_TD):
        return Interval(np.nan, np.nan, np.nan, np.nan)
    rng, (tasks, draws) = np.random.default_rng(seed), every_TD.shape
    rows_TD = rng.integers(tasks, size=(tasks, draws))
    rows_TD[:, 0] = np.arange(tasks)
    return Interval.of(np.take_along_axis(every_TD, rows_TD, axis=0).mean(0), least, most)
