"""From a study to findings: the noise ceiling first, then correlations, differences and regret.

Shapes: R draws, S networks of one bin, N images, K covariates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.correlation.ranks import (
    covariate_axes,
    holm,
    partial_spearman,
    spearman,
    spearman_brown,
)
from hwsearch.correlation.regret import halves, regret
from hwsearch.correlation.study import RIDGE, Group, Study
from hwsearch.data.draws import permutation
from hwsearch.distance.controls.ridge import LogLinearRidge, size_features
from hwsearch.evaluate.verdict import values, whole_and_drawn
from hwsearch.kinds import total_macs, total_params
from hwsearch.space import Space, Subnet

HALVES = 100
"""Random splits of the images into halves that noise ceiling and regret are averaged over."""

RIDGE_FOLDS = 5


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; all NaN where there is none.

    Attributes:
        value: From all images and networks.
        low: Lower end.
        high: Upper end.
        p: Two-sided bootstrap p-value of its being 0.
    """

    value: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, drawn: np.ndarray, least: float = -np.inf, most: float = np.inf) -> "Interval":
        """Takes the value, and percentiles of the draws, moved so that their median is the value.

        Drawing images again adds the noise of the images a second time, which lowers correlations;
        the move takes that out.

        Args:
            drawn: The value, then draws, float[1 + R].
            least: Least possible value.
            most: Largest possible value.
        """
        value, kept = float(drawn[0]), drawn[1:][np.isfinite(drawn[1:])]
        if not np.isfinite(value) or not len(kept):
            return cls(np.nan, np.nan, np.nan, np.nan)
        moved = np.clip(kept - np.median(kept) + value, least, most)
        low, high = np.percentile(moved, (2.5, 97.5))
        beyond = min((moved <= 0).sum(), (moved >= 0).sum())
        return cls(value, float(low), float(high), min(1.0, 2 * (beyond + 1) / (len(moved) + 1)))


@dataclass(frozen=True)
class Finding:
    """How well one ranking orders networks by one measure, in one bin or on average over bins.

    Attributes:
        measure: Of the verdicts, such as "log_loss".
        where: Name of the bin, or "mean of bins".
        distance: Name of the ranking.
        rho: Spearman's correlation with the result; positive where it prefers what is better.
        ceiling: The most that a ranking without any noise can reach.
        partial: The correlation given parameters, MACs and depth.
        regret: How far the network it prefers is below the one that labels of half the images
            choose, on the other half, in the measure's unit; below 0 where it chooses better.
        ahead: The first ranking's correlation less this one's.
        p_holm: p-value of that difference, corrected for all rankings compared.
    """

    measure: str
    where: str
    distance: str
    rho: Interval
    ceiling: Interval
    partial: Interval
    regret: Interval
    ahead: Interval
    p_holm: float

    @property
    def of_ceiling(self) -> float:
        """The correlation as a share of the ceiling."""
        return self.rho.value / self.ceiling.value if self.ceiling.value > 0 else np.nan


MEAN = "mean of bins"


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Figures of one bin; the first row of each array is of all images and networks, then draws.

    Attributes:
        rho: By ranking, float[1 + R].
        partial: Likewise.
        regret: Likewise.
        ceiling: float[1 + R].
    """

    rho: Mapping[str, np.ndarray]
    partial: Mapping[str, np.ndarray]
    regret: Mapping[str, np.ndarray]
    ceiling: np.ndarray


def analyse(
    study: Study, *, ridge: bool = True, draws: int = 1000, seed: int = 0
) -> tuple[Finding, ...]:
    """Finds out how well each ranking orders the networks of each bin, for every measure.

    Args:
        study: What was found out.
        ridge: Add the regression on sizes, fitted to the results of other networks of the bin.
        draws: Resamples of images and networks, the images being the same for all networks.
        seed: Chooses them.
    """
    weights_RN = whole_and_drawn(study.images, draws, seed)
    return tuple(
        finding
        for measure in study.groups[0].verdicts[0][0].measures
        for finding in _findings(
            study,
            measure,
            [
                _draw(study, group, measure, weights_RN, ridge=ridge, seed=seed + number)
                for number, group in enumerate(study.groups)
            ],
        )
    )


def _draw(
    study: Study,
    group: Group,
    measure: str,
    weights_RN: np.ndarray,
    *,
    ridge: bool,
    seed: int,
) -> _Drawn:
    count = len(group.bin.subnets)
    rows_RS = np.random.default_rng(seed).integers(count, size=(len(weights_RN), count))
    rows_RS[0] = np.arange(count)
    all_RS = values(group.verdicts, measure, weights_RN)
    found_RS = np.take_along_axis(all_RS, rows_RS, axis=1)
    halves_HN = halves(study.images, HALVES, seed)
    halves_HS = _by_half(group, measure, halves_HN)
    halves_RN = halves_HN[np.arange(len(weights_RN)) % HALVES]  # each draw takes one split
    halves_RS = [
        np.take_along_axis(half_RS, rows_RS, axis=1)
        for half_RS in _by_half(group, measure, halves_RN, weights_RN)
    ]
    axes_RSK = covariate_axes(_sizes(study.space, group.bin.subnets)[rows_RS])
    distances = dict(group.distances)
    if ridge:
        distances[RIDGE] = _left_out_ridge(study.space, group, all_RS[0])
    rho, partial, lost = {}, {}, {}
    for name, values_S in distances.items():
        better_RS = -values_S[rows_RS]
        rho[name] = spearman(better_RS, found_RS)
        partial[name] = partial_spearman(better_RS, found_RS, axes_RSK)
        lost[name] = regret(better_RS, *halves_RS)
        lost[name][0] = regret(better_RS[:1], *halves_HS).mean()
    return _Drawn(rho, partial, lost, _ceiling(*halves_HS, rows_RS))


def _by_half(
    group: Group, measure: str, halves_RN: np.ndarray, weights_RN: float | np.ndarray = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how good all networks are on one half of the images and on the other, float[R, S]."""
    one_RS, other_RS = (
        values(group.verdicts, measure, weights_RN * part) for part in (halves_RN, 1 - halves_RN)
    )
    return one_RS, other_RS


def _sizes(space: Space, subnets: Sequence[Subnet]) -> np.ndarray:
    """Returns parameters, MACs and depth, which partial correlations are given, float[S, 3]."""
    lowered = [space.lower(subnet) for subnet in subnets]
    return np.array([[total_params(b), total_macs(b), len(b)] for b in lowered], dtype=float)


def _left_out_ridge(space: Space, group: Group, results_S: np.ndarray) -> np.ndarray:
    """Ranks each network by a ridge on sizes that was fitted to the others' results, float[S]."""
    subnets = group.bin.subnets
    known = dict(zip(subnets, group.bin.latency_ms, strict=True))
    describe = size_features(space, known.__getitem__)
    folds_S = permutation(len(subnets)) % min(RIDGE_FOLDS, len(subnets))
    told_S = np.empty(len(subnets))
    for fold in np.unique(folds_S):
        learn = np.flatnonzero(folds_S != fold)
        fitted = LogLinearRidge(describe, [subnets[at] for at in learn], results_S[learn])
        for at in np.flatnonzero(folds_S == fold):
            # Less the mean of what it learned from, which is low where the fold itself is high.
            told_S[at] = fitted(subnets[at]) + results_S[learn].mean()
    return told_S


def _ceiling(one_HS: np.ndarray, other_HS: np.ndarray, rows_RS: np.ndarray) -> np.ndarray:
    """The most that a ranking without noise can correlate with the results, float[1 + R].

    The correlation of two disjoint halves of the images, made that of the whole by Spearman and
    Brown, is the share of the results that is no noise; its square root bounds any correlation
    with them. The mean over many splits, for all networks; each draw of networks takes one split.
    It knows the noise of the images that ask, not that of those which teach nor of the supernet.
    """
    splits_R = np.arange(len(rows_RS)) % HALVES
    halves_R = spearman(
        *(np.take_along_axis(x[splits_R], rows_RS, axis=1) for x in (one_HS, other_HS))
    )
    halves_R[0] = np.nanmean(spearman(one_HS, other_HS))
    return np.sqrt(spearman_brown(halves_R))


def _findings(study: Study, measure: str, drawn: Sequence[_Drawn]) -> list[Finding]:
    names = [group.bin.name for group in study.groups]
    places = [*zip(names, drawn, strict=True), (MEAN, _mean(drawn))]
    return [finding for where, one in places for finding in _of_place(study, measure, where, one)]


def _mean(drawn: Sequence[_Drawn]) -> _Drawn:
    def mean(field: str) -> dict[str, np.ndarray]:
        every = [getattr(one, field) for one in drawn]
        return {name: np.mean([one[name] for one in every], axis=0) for name in every[0]}

    ceiling = np.mean([one.ceiling for one in drawn], axis=0)
    return _Drawn(mean("rho"), mean("partial"), mean("regret"), ceiling)


def _of_place(study: Study, measure: str, where: str, drawn: _Drawn) -> list[Finding]:
    first = drawn.rho[study.first]
    ceiling = Interval.of(drawn.ceiling, 0, 1)
    ahead = {
        name: Interval.of(first - rho) for name, rho in drawn.rho.items() if name != study.first
    }
    corrected = dict(zip(ahead, holm([one.p for one in ahead.values()]), strict=True))
    none = Interval(np.nan, np.nan, np.nan, np.nan)
    return [
        Finding(
            measure,
            where,
            name,
            Interval.of(rho, -1, 1),
            ceiling,
            Interval.of(drawn.partial[name], -1, 1),
            Interval.of(drawn.regret[name]),
            ahead.get(name, none),
            float(corrected.get(name, np.nan)),
        )
        for name, rho in drawn.rho.items()
    ]
