"""Figures of a search: teacher distance against latency, one picture a target."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hwsearch.report.cloud import thin
from hwsearch.report.labels import place_labels
from hwsearch.report.panel import Delivered, Panel
from hwsearch.report.style import (
    ANY,
    COLOUR_MAP,
    INK,
    INTERVAL,
    KNEE,
    MEASURED,
    STYLE,
    legend,
    plain_ticks,
    save,
    under_title,
)
from hwsearch.report.words import heading, knee_label, labels_of, legend_text, subtitle

LATENCY = "latency of one call (ms)"

MARKERS = ("o", "^", "v", "P", "X")
"""What tells the searches of a picture apart, in turn."""

NEAR_ZERO = 0.4
"""Share of the largest distance that the smallest one is below where the axis begins at 0."""

SIZES = (20, 44)
"""Areas of the marker of a supernet's network and of a model of a catalogue, square points."""

VECTORS = 5_000
"""Most points of a search that an SVG has one by one; more become a picture inside it."""

MOST = 20_000
"""Most points of a search that are drawn; of more, one in each patch much smaller than a marker."""

NAMED = 40
"""How bad it is to cover a point that has a name, in other points."""


def draw_panel(panel: Panel, folder: Path, prefix: str) -> list[Path]:
    """Draws one target's front as PNG and SVG, named after the first search's table.

    Args:
        panel: What to show.
        folder: Where to write.
        prefix: How the names of the files start.

    Returns:
        The two files.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 5.6), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        norm = _norm([panel])
        shown = _draw(axes, panel, norm)
        title = f"{panel.target.device}: {heading(panel)}"
        axes.set_title(title, loc="left", fontweight="bold", pad=26)
        under_title(axes, subtitle(panel))
        _colour_bar(figure, [axes], norm)
        legend(figure, axes)
        figure.draw_without_rendering()
        place_labels(axes, labels_of(panel), shown, canvas.get_renderer())
        return save(figure, folder, prefix + panel.target.table.replace("/", "--"))


def draw_overview(panels: Sequence[Panel], folder: Path, prefix: str) -> list[Path]:
    """Draws the fronts of all targets side by side as overview.png and overview.svg."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 4.6 * len(panels), 4.6), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        norm, shown = _norm(panels), []
        for axes, panel in zip(row, panels, strict=True):
            shown.append(_draw(axes, panel, norm))
            title = heading(panel)
            axes.set_title(title, loc="left", fontweight="bold", fontsize=11, pad=22)
            under_title(axes, panel.target.device)
            axes.label_outer()
            axes.set_xlabel(LATENCY)
        _colour_bar(figure, list(row), norm)
        legend(figure, row[0])
        figure.draw_without_rendering()
        for axes, panel, points in zip(row, panels, shown, strict=True):
            place_labels(axes, [knee_label(panel)], points, canvas.get_renderer())
        return save(figure, folder, f"{prefix}overview")


def _draw(axes: Axes, panel: Panel, norm: LogNorm) -> np.ndarray:
    """Draws everything but words; returns what labels should not cover, float[N, 2]."""
    drawn = []
    for number, series in enumerate(panel.series):
        looks = {
            "marker": MARKERS[number % len(MARKERS)],
            "s": SIZES[series.search.is_catalogue],
            "alpha": 0.75,
            "linewidths": 0,
        }
        rows = thin(series.points, MOST)
        points, macs, many = series.points[rows], series.million_macs[rows], len(rows) > VECTORS
        axes.scatter(*points.T, c=macs, norm=norm, cmap=COLOUR_MAP, rasterized=many, **looks)
        drawn.append(points)
        axes.scatter([], [], color=ANY, label=legend_text(panel, series), **looks)
    front = _draw_front(axes, panel)
    ends = np.array([place for _, place in panel.ends]).reshape(-1, 2)
    axes.plot(*ends.T, "D", color=INK, mfc="white", ms=7, mew=1.4, ls="none", zorder=5)
    _draw_delivered(axes, panel.delivered)
    every = np.vstack(drawn)
    _scale(axes, every[:, 0])
    axes.set_ylim(*_ends_of_distance(every[:, 1]))
    axes.set_xlabel(LATENCY)
    axes.set_ylabel("distance to the teacher (lower is better)")
    named = [place for series in panel.series for place in series.models.values()]
    kept = np.vstack([ends, *named])
    kept, line = np.repeat(kept, NAMED, axis=0), np.repeat(_dense(front), 3, axis=0)
    return np.vstack([every, line, kept])


def _ends_of_distance(distances: np.ndarray) -> tuple[float, float]:
    """Returns an axis from 0, or where nothing is near 0, as beside a committee, around the points.

    The page's plots do the same.
    """
    low, high = distances.min(), distances.max()
    if low < NEAR_ZERO * high:
        return -0.04 * high, 1.12 * high
    room = 0.12 * (high - low) or 0.12 * high
    return low - room, high + room


def _draw_front(axes: Axes, panel: Panel) -> np.ndarray:
    """Draws the front with its intervals and its knee; returns its points, float[N, 2]."""
    points = [point for _, point in panel.front]
    front = np.array([(point.latency_ms, point.distance) for point in points])
    spread = np.array([[p.latency_ms - p.low_ms, p.high_ms - p.latency_ms] for p in points])
    axes.errorbar(
        *front.T,
        xerr=spread.T.clip(min=0),
        fmt="none",
        ecolor=INTERVAL,
        elinewidth=1,
        capsize=2,
        zorder=3,
        label="90 % interval of the latency",
    )
    axes.plot(*front.T, "-", color=INK, lw=1.4, zorder=4, label="Pareto front")
    for number, series in enumerate(panel.series):
        own = front[[one is series for one, _ in panel.front]]
        marker, size = MARKERS[number % len(MARKERS)], 4 + 2 * series.search.is_catalogue
        axes.plot(*own.T, marker, color=INK, ms=size, zorder=4)
    bend = panel.knee
    axes.plot(bend.latency_ms, bend.distance, "*", color=KNEE, ms=15, mec="white", zorder=6)
    return front


def _draw_delivered(axes: Axes, delivered: Sequence[Delivered]) -> None:
    for number, engine in enumerate(delivered):
        x = (engine.predicted_ms, engine.measured_ms)
        y = (engine.predicted_distance, engine.measured_distance)
        axes.plot(x, y, color=MEASURED, lw=1.2, zorder=7)
        name = "delivered engine, measured" if number == 0 else None
        axes.plot(
            x[1],
            y[1],
            "s",
            color=MEASURED,
            mfc="none",
            ms=9,
            mew=2,
            ls="none",
            zorder=8,
            label=name,
        )


def _dense(line: np.ndarray) -> np.ndarray:
    """Fills the gaps of a line with points, so that labels keep off it."""
    steps = np.linspace(0, len(line) - 1, 20 * len(line))
    return np.column_stack([np.interp(steps, np.arange(len(line)), axis) for axis in line.T])


def _scale(axes: Axes, latency_ms: np.ndarray) -> None:
    if latency_ms.max() > 3 * latency_ms.min():
        axes.set_xscale("log")
        plain_ticks(axes.xaxis, wide=latency_ms.max() > 30 * latency_ms.min())


def _norm(panels: Sequence[Panel]) -> LogNorm:
    every = [series.million_macs for p in panels for series in p.series]
    macs = np.concatenate(every)
    least = macs[macs > 0].min(initial=macs.max() or 1.0)  # models may multiply nothing
    return LogNorm(least, max(macs.max(), 1.01 * least), clip=True)


def _colour_bar(figure: Figure, axes: list[Axes], norm: LogNorm) -> None:
    bar = figure.colorbar(ScalarMappable(norm, COLOUR_MAP), ax=axes, pad=0.02, aspect=30)
    bar.set_label("million multiply-accumulates an image")
    plain_ticks(bar.ax.yaxis, wide=(norm.vmax or 1) > 30 * (norm.vmin or 1))
    bar.outline.set_visible(False)
