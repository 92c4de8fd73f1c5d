"""The figure of a study: correlations of all rankings with the result, beside the ceiling."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwsearch.correlation.analysis import MEAN, Finding, Interval
from hwsearch.report.style import INK, INTERVAL, KNEE, MEASURED, STYLE, legend

PNG = "correlation.png"


def draw_findings(findings: Sequence[Finding], title: str, folder: Path) -> Path:
    """Draws one panel a measure: ρ of each ranking in each bin, its mean with an interval.

    Args:
        findings: Of all bins and measures.
        title: What was judged, and how.
        folder: Where to write.

    Returns:
        The PNG file.
    """
    measures = list(dict.fromkeys(finding.measure for finding in findings))
    names = list(dict.fromkeys(finding.distance for finding in findings))
    with mpl.rc_context(STYLE):
        size = (4.6 * len(measures) + 1.6, 1.9 + 0.34 * len(names))
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = np.atleast_1d(figure.subplots(1, len(measures), sharey=True))
        for axes, measure in zip(panels, measures, strict=True):
            _draw(axes, [one for one in findings if one.measure == measure], names)
            axes.set_xlabel(f"Spearman's ρ with {measure.replace('_', '-')}")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        legend(figure, panels[0])
        folder.mkdir(parents=True, exist_ok=True)
        canvas.print_png(folder / PNG)
    return folder / PNG


def _draw(axes: Axes, findings: Sequence[Finding], names: Sequence[str]) -> None:
    means = [finding for finding in findings if finding.where == MEAN]
    each = [finding for finding in findings if finding.where != MEAN]
    ceiling = means[0].ceiling
    axes.axvline(0, color=INK, linewidth=0.8)
    if ceiling.value > 0:
        axes.axvspan(ceiling.low, ceiling.high, color=KNEE, alpha=0.12, linewidth=0)
        axes.axvline(ceiling.value, color=KNEE, label="noise ceiling, mean of bins")
    axes.scatter(
        [one.rho.value for one in each],
        [names.index(one.distance) for one in each],
        s=14,
        color=INTERVAL,
        label="each bin",
        zorder=2,
    )
    heights = [names.index(one.distance) for one in means]
    draw_intervals(axes, heights, [one.rho for one in means], "mean of bins, 95 % interval")
    axes.set_xlim(-1.05, 1.05)


def draw_intervals(
    axes: Axes,
    heights: Sequence[float],
    intervals: Sequence[Interval],
    label: str,
    *,
    scale: float = 1.0,
) -> None:
    """Draws figures with their intervals, one above the other.

    Args:
        axes: Where to draw.
        heights: Of each figure.
        intervals: The figures.
        label: What they are, for the legend.
        scale: What they are multiplied by, such as 100 for points.
    """
    ends = [(one.value, one.low, one.high) for one in intervals]
    value, low, high = scale * np.array(ends).reshape(-1, 3).T
    axes.errorbar(
        value,
        heights,
        xerr=np.maximum([value - low, high - value], 0),
        fmt="o",
        color=MEASURED,
        markersize=6,
        capsize=3,
        label=label,
        zorder=3,
    )
