"""How the hypervolume of a front grew with the evaluations of a search."""

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from hwsearch.report.panel import Panel, Series
from hwsearch.search.pareto import pareto_front

STEPS = 120
"""Most points of one curve."""


@dataclass(frozen=True)
class Growth:
    """One curve.

    Attributes:
        evaluations: Networks that the search had looked at, rising.
        volume: Share of the box that their front dominates, 0 to 1.
    """

    evaluations: list[int]
    volume: list[float]


def growth(series: Sequence[Series]) -> list[Growth]:
    """Returns a curve for each series, all in the box of all their points together.

    The box is that of `hwsearch.search.pareto.hypervolume`: it runs from the least to the greatest
    logarithm of the latency, and from distance 0 to that of the fastest network.
    """
    points = np.vstack([one.points for one in series])
    if not len(points):
        return [Growth([], []) for _ in series]
    worst = points[np.lexsort((points[:, 1], points[:, 0]))[0], 1] or 1.0
    low, high = np.log(points[:, 0]).min(), np.log(points[:, 0]).max()
    width = high - low if high > low else 1.0
    return [_curve(one, low=low, width=width, worst=worst) for one in series]


def _curve(series: Series, *, low: float, width: float, worst: float) -> Growth:
    points = series.points
    places = np.column_stack([(np.log(points[:, 0]) - low) / width, points[:, 1] / worst])
    total = len(series.search.evaluations.codes)
    ends = np.unique(np.linspace(1, total, min(STEPS, total)).astype(int))
    volumes, front, done = [], places[:0], 0
    for end in np.searchsorted(series.rows, ends):
        front = np.vstack([front, places[done:end]])
        front, done = front[pareto_front(front)] if len(front) else front, end
        volumes.append(float(moocore.hypervolume(front, ref=np.ones(2))) if len(front) else 0.0)
    return Growth(ends.tolist(), volumes)


def comparison(panels: Sequence[Panel]) -> list[str]:
    """Says for each table what each search has found: hypervolume and share of the front of all."""
    lines = []
    for panel in panels:
        every = len({point.index for _, point in panel.front})
        for series, curve in zip(panel.series, growth(panel.series), strict=True):
            own = sum(one is series for one, _ in panel.front)
            volume = curve.volume[-1] if curve.volume else 0.0
            lines.append(
                f"{series.target.table} of {series.search.folder}: hypervolume {volume:.3f} after "
                f"{len(series.search.evaluations.codes):,} evaluations, {own} of the "
                f"{every} networks on the front of all"
            )
    return lines
