"""Answers as a printed table and as a figure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hwsearch.choice.answers import MEAN, Answer
from hwsearch.choice.selectors import ORACLE
from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.figure import draw_intervals
from hwsearch.progress import console
from hwsearch.report.style import INK, INTERVAL, STYLE, legend

PNG = "choices.png"


def show_answers(found: Sequence[Answer]) -> None:
    """Prints one table for each limit: means over tasks, the smallest regret first."""
    for condition, budget_ms in _places(found):
        here = _at(found, condition, budget_ms)
        table = Table(
            title=f"{condition}: within {budget_ms:.4g} ms ({here[0].within} networks)",
            box=SIMPLE_HEAD,
            caption="regret: how far the choice is below the oracle's on images that did not "
            "choose, mean of tasks; ρ: Spearman of what it prefers with the result; 95 % intervals "
            "over tasks and images; *: sees labels of the task",
        )
        table.add_column("selector")
        for heading in ("regret, points", "regret, nats", "ρ"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in sorted(_of(here, MEAN), key=lambda one: one.log_loss.value):
            star = " *" if one.labels else ""
            table.add_row(
                one.selector + star,
                _words(one.accuracy, 100, ".1f"),
                _words(one.log_loss, 1, ".3f"),
                _words(one.rho, 1, "+.2f"),
            )
        console.print(table)


def draw_answers(found: Sequence[Answer], title: str, folder: Path) -> Path:
    """Draws a row of panels for each limit: regret in points, and rank correlation.

    Args:
        found: All answers.
        title: What was asked.
        folder: Where to write.

    Returns:
        The PNG file.
    """
    names = [name for name in dict.fromkeys(one.selector for one in found) if name != ORACLE]
    places = _places(found)
    with mpl.rc_context(STYLE):
        size = (11.0, 1.4 + len(places) * (0.9 + 0.3 * len(names)))
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = np.atleast_2d(figure.subplots(len(places), 2, sharey=True, sharex="col"))
        for (condition, budget_ms), (left, right) in zip(places, panels, strict=True):
            here = _at(found, condition, budget_ms)
            _draw(left, here, names, "accuracy", 100)
            _draw(right, here, names, "rho", 1)
            left.set_yticks(range(len(names)), names)
            left.set_title(f"{condition}: within {budget_ms:.4g} ms", loc="left", fontsize=10)
        panels[0, 0].invert_yaxis()
        panels[-1, 0].set_xlabel("regret in points of accuracy, less is better")
        panels[-1, 1].set_xlabel("Spearman's ρ with the result")
        panels[-1, 1].set_xlim(-1.05, 1.05)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        legend(figure, panels[0, 0])
        folder.mkdir(parents=True, exist_ok=True)
        canvas.print_png(folder / PNG)
    return folder / PNG


def _draw(
    axes: Axes, here: Sequence[Answer], names: Sequence[str], field: str, scale: float
) -> None:
    axes.axvline(0, color=INK, linewidth=0.8)
    each = [one for one in here if one.task != MEAN and one.selector in names]
    axes.scatter(
        [scale * getattr(one, field).value for one in each],
        [names.index(one.selector) for one in each],
        s=14,
        color=INTERVAL,
        label="each task",
        zorder=2,
    )
    means = [one for one in _of(here, MEAN) if one.selector in names]
    means = [one for one in means if np.isfinite(getattr(one, field).value)]
    heights = [names.index(one.selector) for one in means]
    intervals = [getattr(one, field) for one in means]
    draw_intervals(axes, heights, intervals, "mean of tasks, 95 % interval", scale=scale)


def _places(found: Sequence[Answer]) -> list[tuple[str, float]]:
    return list(dict.fromkeys((one.condition, one.budget_ms) for one in found))


def _at(found: Sequence[Answer], condition: str, budget_ms: float) -> list[Answer]:
    return [one for one in found if (one.condition, one.budget_ms) == (condition, budget_ms)]


def _of(found: Sequence[Answer], task: str) -> list[Answer]:
    return [one for one in found if one.task == task]


def _words(interval: Interval, scale: float, form: str) -> str:
    if np.isnan(interval.value):
        return ""
    value, low, high = (
        format(scale * getattr(interval, end), form) for end in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
