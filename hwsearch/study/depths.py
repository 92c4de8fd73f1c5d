"""Whether it matters where the blocks of a network are: late against early depth.

Shapes: R draws (the first row is no draw), S networks, T tasks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.ranks import covariate_axes, partial_spearman
from hwsearch.study.networks import Network
from hwsearch.study.scores import Results
from hwsearch.study.statistics import Draws


@dataclass(frozen=True)
class DepthEffect:
    """How results go with the ratio of late to early blocks, among networks of equal cost.

    Attributes:
        measure: Of the results.
        family: Name of the space.
        task: The task.
        networks: How many there are.
        rho: Spearman's partial correlation, given multiply-accumulates; above 0 where late blocks
            are better.
    """

    measure: str
    family: str
    task: str
    networks: int
    rho: Interval


def late_to_early(network: Network) -> float:
    """Returns the ratio of blocks in the later half of the stages to those in the earlier half."""
    depths = network.depths
    half = len(depths) // 2
    return sum(depths[len(depths) - half :]) / max(sum(depths[:half]), 1)


def depth_effects(
    results: Results, measure: str, *, draws: int, seed: int
) -> Iterator[DepthEffect]:
    """Yields the effect in each family that has enough networks with different ratios."""
    scores_SKT = results.scores[measure]
    for family, places in results.families.items():
        networks = [results.networks[place] for place in places]
        ratio_S = np.array([late_to_early(one) for one in networks])
        if len(set(ratio_S)) < 2:
            continue
        drawn = Draws.make(len(networks), len(results.seeds), draws, seed)
        means_RST = drawn.means(scores_SKT[places])
        macs_RS = np.array([one.macs for one in networks], dtype=float)[drawn.rows_RS]
        axes_RSK = covariate_axes(macs_RS[..., None])
        for at, task in enumerate(results.tasks):
            rho_R = partial_spearman(ratio_S[drawn.rows_RS], means_RST[..., at], axes_RSK)
            yield DepthEffect(measure, family, task, len(networks), Interval.of(rho_R, -1, 1))
