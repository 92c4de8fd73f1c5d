"""Figures of a study: how alike tasks are, and the ranks of all networks across them."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from scipy.stats import rankdata

from hwsearch.report.style import (
    COLOUR_MAP,
    INK,
    KNEE,
    MEASURED,
    STYLE,
    plain_ticks,
    under_title,
)
from hwsearch.study.findings import Findings
from hwsearch.study.scores import MEASURES
from hwsearch.study.winners import EVERYWHERE

HEAT, RANKS = "heat_map.png", "ranks.png"
SIGNED = LinearSegmentedColormap.from_list("signed", [KNEE, "#FFFFFF", MEASURED])
"""From -1 to 1, apart for colour-blind eyes."""


def draw_heat_map(findings: Findings, title: str, folder: Path) -> Path:
    """Draws ρ between tasks below the diagonal, without noise above it, and between seeds on it."""
    tasks = findings.results.tasks
    with mpl.rc_context(STYLE):
        side = 2.6 + 0.62 * len(tasks)
        figure = Figure(figsize=(side + 1.2, side), layout="constrained")
        axes = figure.subplots()
        rho_TT = heat(findings, MEASURES[0])
        image = axes.imshow(rho_TT, cmap=SIGNED, norm=Normalize(-1, 1))
        _write_values(axes, rho_TT)
        axes.grid(visible=False)
        axes.set_xticks(range(len(tasks)), tasks, rotation=40, ha="right")
        axes.set_yticks(range(len(tasks)), tasks)
        axes.set_title(f"Do tasks agree? {title}", loc="left", fontweight="bold", pad=26)
        under_title(
            axes, "below the diagonal: as found; on it: between seeds; above: without noise"
        )
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.set_label("Spearman's ρ of accuracies")
        bar.outline.set_visible(False)
        return _save(figure, folder / HEAT)


def heat(findings: Findings, measure: str) -> np.ndarray:
    """Returns what the heat map shows, float[T, T]."""
    places = {task: at for at, task in enumerate(findings.results.tasks)}
    rho_TT = np.full((len(places), len(places)), np.nan)
    for one in findings.ceilings:
        if one.measure == measure:
            rho_TT[places[one.task], places[one.task]] = one.retest.value
    for pair in findings.pairs:
        if pair.measure == measure:
            row, column = places[pair.other], places[pair.task]
            rho_TT[row, column] = pair.spearman.value
            rho_TT[column, row] = pair.disattenuated.value
    return rho_TT


def _write_values(axes: Axes, rho_TT: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(rho_TT):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.75 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)


def draw_ranks(findings: Findings, title: str, folder: Path) -> Path:
    """Draws a line a network over its rank on every task; the winners stand out."""
    results = findings.results
    means_ST = results.scores[MEASURES[0]].mean(axis=1)
    ranks_ST = rankdata(-means_ST, axis=0)
    macs = np.array([one.macs for one in results.networks]) / 1e6
    norm = LogNorm(macs.min(), max(macs.max(), 1.01 * macs.min()))
    colours = mpl.colormaps[COLOUR_MAP](norm(macs))
    places = range(len(results.tasks))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3 + 1.05 * len(results.tasks), 5.6), layout="constrained")
        axes = figure.subplots()
        for ranks_T, colour in zip(ranks_ST, colours, strict=True):
            axes.plot(places, ranks_T, "-", color=colour, alpha=0.5, lw=1.1)
        for place in places:
            first = ranks_ST[:, place].argmin()
            axes.plot(places, ranks_ST[first], "-", color=colours[first], lw=2.4)
            axes.plot(place, 1, "*", color=KNEE, ms=13, mec="white", zorder=5)
        axes.set_xticks(places, results.tasks, rotation=40, ha="right")
        axes.set_ylabel("rank by accuracy (1 is best)")
        axes.set_ylim(len(ranks_ST) + 0.5, 0.2)
        axes.set_yticks([1, *range(5, len(ranks_ST) + 1, 5)])
        axes.set_title(f"Who is best where? {title}", loc="left", fontweight="bold", pad=26)
        counting = [
            one.task
            for one in findings.winners
            if (one.measure, one.where) == (MEASURES[0], EVERYWHERE) and one.counts
        ]
        under_title(axes, f"beyond the noise: {', '.join(counting) or 'no winner'}")
        bar = figure.colorbar(ScalarMappable(norm, COLOUR_MAP), ax=axes, pad=0.02, aspect=30)
        bar.set_label("million multiply-accumulates an image")
        plain_ticks(bar.ax.yaxis, wide=macs.max() > 30 * macs.min())
        bar.outline.set_visible(False)
        return _save(figure, folder / RANKS)


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path
