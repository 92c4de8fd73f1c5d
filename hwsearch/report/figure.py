"""Figures of a search: teacher distance against latency, one picture a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hwsearch.report.labels import Label, place_labels
from hwsearch.report.style import (
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
from hwsearch.search.evaluations import Evaluations, Target
from hwsearch.search.front import FrontPoint

RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""Names of runtimes as their makers write them."""

LATENCY = "latency of one call (ms)"


@dataclass(frozen=True)
class Delivered:
    """An engine that was built from a network and measured.

    Attributes:
        predicted_ms: Latency that the table promised.
        measured_ms: Latency of the engine itself.
        predicted_distance: Teacher distance of the float network.
        measured_distance: Teacher distance of the engine's own outputs.
    """

    predicted_ms: float
    measured_ms: float
    predicted_distance: float
    measured_distance: float


@dataclass(frozen=True)
class Panel:
    """What one table's picture shows.

    Attributes:
        target: Device and conditions.
        front: Non-dominated networks, fastest first.
        delivered: Engines built for this table.
    """

    target: Target
    front: Sequence[FrontPoint]
    delivered: Sequence[Delivered]

    @property
    def knee(self) -> FrontPoint:
        """The knee of the front."""
        return next(point for point in self.front if point.knee)


def draw_panel(evaluations: Evaluations, panel: Panel, folder: Path) -> list[Path]:
    """Draws one table's front as PNG and SVG, named after the table.

    Returns:
        The two files.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 5.6), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        points = _draw(axes, evaluations, panel)
        axes.set_title(_title(panel.target), loc="left", fontweight="bold", pad=26)
        under_title(axes, _subtitle(evaluations))
        _colour_bar(figure, [axes], evaluations)
        legend(figure, axes)
        canvas.draw()
        place_labels(axes, _labels(evaluations, panel), points, canvas.get_renderer())
        return save(figure, folder, panel.target.table.replace("/", "--"))


def draw_overview(evaluations: Evaluations, panels: Sequence[Panel], folder: Path) -> list[Path]:
    """Draws the fronts of all tables side by side as overview.png and overview.svg."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 4.6 * len(panels), 4.6), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        points = []
        for axes, panel in zip(row, panels, strict=True):
            points.append(_draw(axes, evaluations, panel))
            axes.set_title(
                _conditions(panel.target), loc="left", fontweight="bold", fontsize=11, pad=22
            )
            under_title(axes, panel.target.device)
            axes.label_outer()
            axes.set_xlabel(LATENCY)
        _colour_bar(figure, list(row), evaluations)
        legend(figure, row[0])
        canvas.draw()
        for axes, panel, shown in zip(row, panels, points, strict=True):
            place_labels(axes, [_knee_label(panel.knee)], shown, canvas.get_renderer())
        return save(figure, folder, "overview")


def _draw(axes: Axes, evaluations: Evaluations, panel: Panel) -> np.ndarray:
    """Draws everything but words; returns what labels should not cover, float[N, 2]."""
    latency_ms = evaluations.latencies(panel.target.table)
    axes.scatter(
        latency_ms,
        evaluations.distance,
        c=_million_macs(evaluations),
        norm=_norm(evaluations),
        cmap="viridis",
        s=20,
        alpha=0.75,
        linewidths=0,
        label="evaluated network",
    )
    front = _front_points(panel)
    spread = np.array([[p.latency_ms - p.low_ms, p.high_ms - p.latency_ms] for p in panel.front])
    axes.errorbar(
        *front.T,
        xerr=spread.T.clip(min=0),
        fmt="none",
        ecolor=INTERVAL,
        elinewidth=1,
        capsize=2,
        zorder=3,
        label="90 % interval of the prediction",
    )
    axes.plot(*front.T, "-o", color=INK, ms=4, lw=1.4, zorder=4, label="Pareto front")
    bend = panel.knee
    axes.plot(bend.latency_ms, bend.distance, "*", color=KNEE, ms=15, mec="white", zorder=6)
    ends = _ends(evaluations, panel)
    axes.plot(*ends.T, "D", color=INK, mfc="white", ms=7, mew=1.4, ls="none", zorder=5)
    _draw_delivered(axes, panel.delivered)
    _scale(axes, latency_ms)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=-0.04 * evaluations.distance.max())
    axes.set_xlabel(LATENCY)
    axes.set_ylabel("distance to the teacher (lower is better)")
    every = np.column_stack([latency_ms, evaluations.distance])
    return np.vstack([every, np.repeat(_dense(front), 3, axis=0), ends])


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


def _labels(evaluations: Evaluations, panel: Panel) -> list[Label]:
    labels = [_knee_label(panel.knee)]
    for name, (x, y) in zip(("MIN", "MAX"), _ends(evaluations, panel), strict=True):
        labels.append(Label(f"{name}  {_ms(x)}", x, y, INK))
    for engine in panel.delivered:
        text = f"measured {_ms(engine.measured_ms)}\npredicted {_ms(engine.predicted_ms)}"
        labels.append(Label(text, engine.measured_ms, engine.measured_distance, MEASURED))
    return labels


def _knee_label(bend: FrontPoint) -> Label:
    return Label(f"knee  {_ms(bend.latency_ms)}", bend.latency_ms, bend.distance, KNEE)


def _ms(latency_ms: float) -> str:
    return f"{latency_ms:#.3g}".rstrip(".") + " ms"


def _ends(evaluations: Evaluations, panel: Panel) -> np.ndarray:
    """Latency and distance of the smallest and the largest network, float[2, 2]."""
    space, latency_ms = evaluations.space, evaluations.latencies(panel.target.table)
    ends = np.stack([space.encode(space.minimum), space.encode(space.maximum)])
    rows = [np.flatnonzero((evaluations.codes == code).all(axis=1)) for code in ends]
    found = [row[0] for row in rows if len(row)]
    return np.column_stack([latency_ms[found], evaluations.distance[found]])


def _front_points(panel: Panel) -> np.ndarray:
    return np.array([(point.latency_ms, point.distance) for point in panel.front])


def _dense(line: np.ndarray) -> np.ndarray:
    """Fills the gaps of a line with points, so that labels keep off it."""
    steps = np.linspace(0, len(line) - 1, 20 * len(line))
    return np.column_stack([np.interp(steps, np.arange(len(line)), axis) for axis in line.T])


def _scale(axes: Axes, latency_ms: np.ndarray) -> None:
    if latency_ms.max() > 3 * latency_ms.min():
        axes.set_xscale("log")
        plain_ticks(axes.xaxis, wide=latency_ms.max() > 30 * latency_ms.min())


def _million_macs(evaluations: Evaluations) -> np.ndarray:
    return evaluations.space.macs(evaluations.codes) / 1e6


def _norm(evaluations: Evaluations) -> LogNorm:
    macs = _million_macs(evaluations)
    return LogNorm(macs.min(), macs.max())


def _colour_bar(figure: Figure, axes: list[Axes], evaluations: Evaluations) -> None:
    norm, macs = _norm(evaluations), _million_macs(evaluations)
    bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, pad=0.02, aspect=30)
    bar.set_label("million multiply-accumulates an image")
    plain_ticks(bar.ax.yaxis, wide=macs.max() > 30 * macs.min())
    bar.outline.set_visible(False)


def _title(target: Target) -> str:
    return f"{target.device}: {_conditions(target)}"


def _conditions(target: Target) -> str:
    threads = f"{target.threads} thread{'s' * (target.threads != 1)}"
    return f"{_runtime(target)}, {target.precision}, batch {target.batch}, {threads}"


def _runtime(target: Target) -> str:
    return RUNTIMES.get(target.runtime, target.runtime)


def _subtitle(evaluations: Evaluations) -> str:
    space = evaluations.space
    return (
        f"Pareto front of {space.name}: "
        f"{len(evaluations.codes):,} of {space.size:,} networks evaluated"
    )
