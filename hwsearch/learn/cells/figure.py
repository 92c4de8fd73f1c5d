"""Figures of a search over cells: the cells as graphs, and the shares of operations over time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwsearch.kinds.cell import INPUTS, OPERATIONS, Edge
from hwsearch.learn.cells.architecture import KINDS, edge_name, edges_of_cell
from hwsearch.report.style import COLOUR_MAP, INK, STYLE
from hwsearch.spaces.genotype import Genotype

CELLS_PNG, SHARES_PNG = "cells.png", "shares.png"
_COLUMNS = 7
_HEIGHTS = (0.3, -0.5, 1.0, -1.0)
"""How far nodes lie above the middle, in turn."""
_BEND = 0.12
"""How far the control point of an arrow lies aside, as a share of its length."""


def draw_cells(genotype: Genotype, title: str, folder: Path) -> Path:
    """Draws both cells, inputs on the left, output on the right.

    Returns:
        The PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 + 1.8 * genotype.nodes, 7.6), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, kind in zip(figure.subplots(2, 1), KINDS, strict=True):
            _draw_cell(axes, getattr(genotype, kind), genotype.nodes)
            axes.set_title(f"{kind} cell", loc="left")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        canvas.print_png(folder / CELLS_PNG)
    return folder / CELLS_PNG


def _draw_cell(axes: Axes, edges: tuple[Edge, ...], nodes: int) -> None:
    last = INPUTS + nodes
    places = {0: (0.0, 0.8), 1: (0.0, -0.8), last: (1.3 * nodes + 1.4, 0.0)}
    inner = range(INPUTS, last)
    places |= {n: (1.3 * n - 1.2, _HEIGHTS[(n - INPUTS) % len(_HEIGHTS)]) for n in inner}
    names = {0: "cell before\nthe last", 1: "last cell", last: "output"}
    for node in inner:
        _arrow(axes, places[node], places[last], INK, width=0.6)
    for at, edge in enumerate(edges):
        bend = _BEND * (-1) ** at
        colour = _colour(OPERATIONS.index(edge.operation))
        (x, y), (to_x, to_y) = places[edge.source], places[edge.node]
        _arrow(axes, (x, y), (to_x, to_y), colour, width=2.0, bend=bend)
        middle = ((x + to_x + bend * (to_y - y)) / 2, (y + to_y - bend * (to_x - x)) / 2)
        _write(axes, middle, edge.operation, colour, padding=0.15, edgecolor="none")
    for node, place in places.items():
        _write(axes, place, names.get(node, str(node)), INK, padding=0.4, edgecolor=INK)
    axes.set_xlim(-0.7, 1.3 * nodes + 2.0)
    axes.set_ylim(-1.3, 1.3)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _write(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    colour: Any,  # noqa: ANN401 - matplotlib's type of colours is private
    *,
    padding: float,
    edgecolor: str,
) -> None:
    box = {"boxstyle": f"round,pad={padding}", "facecolor": "white", "edgecolor": edgecolor}
    axes.text(*place, text, color=colour, fontsize=9, ha="center", va="center", bbox=box, zorder=3)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: Any,  # noqa: ANN401
    *,
    width: float,
    bend: float = 0.0,
) -> None:
    style = {
        "arrowstyle": "-|>",
        "connectionstyle": f"arc3,rad={bend}",
        "color": colour,
        "linewidth": width,
        "shrinkA": 16,
        "shrinkB": 14,
    }
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def _colour(number: int) -> Any:  # noqa: ANN401
    return mpl.colormaps[COLOUR_MAP](0.05 + 0.85 * number / (len(OPERATIONS) - 1))


def draw_shares(log: Path, nodes: int, title: str, folder: Path) -> Path:
    """Draws the share of each operation over the steps, one panel an edge.

    Args:
        log: `metrics.jsonl` of the search.
        nodes: Nodes of a cell beside its inputs.
        title: Of the figure.
        folder: Where to write.

    Returns:
        The PNG file.
    """
    rows = pd.read_json(log, lines=True)
    edges = edges_of_cell(nodes)
    columns = min(len(edges), _COLUMNS)
    lines = -(-len(edges) // columns)
    with mpl.rc_context(STYLE):
        size = (2.0 * columns + 0.4, 3.4 * lines + 1.2)
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = figure.subplots(2 * lines, columns, sharex=True, sharey=True, squeeze=False)
        for kind, part in zip(KINDS, (panels[:lines], panels[lines:]), strict=True):
            for axes in part.ravel()[len(edges) :]:
                axes.set_visible(False)
            for axes, edge in zip(part.ravel(), edges, strict=False):
                _draw_shares(axes, rows, edge_name(kind, *edge))
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        figure.supylabel("share of each operation, by step", fontsize=10)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        canvas.print_png(folder / SHARES_PNG)
    return folder / SHARES_PNG


def _draw_shares(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    columns = [f"{name}/{operation}" for operation in OPERATIONS]
    told = rows.dropna(subset=columns)
    shares = np.array([told[column] for column in columns])
    colours = [_colour(number) for number in range(len(OPERATIONS))]
    axes.stackplot(told["step"], shares, labels=OPERATIONS, colors=colours)
    axes.set_title(name.replace("/", " ").replace("<", " ← "), loc="left", fontsize=9)
    axes.set_ylim(0, 1)
    axes.grid(visible=False)
