"""Figures of a search over cells: the cells as graphs, and the shares of operations over time."""

from pathlib import Path

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
_SPREAD = 0.8
"""How far nodes lie above or below the middle."""


def draw_cells(genotype: Genotype, title: str, folder: Path) -> Path:
    """Draws both cells, inputs on the left, output on the right.

    Returns:
        The PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4 + 1.9 * genotype.nodes, 7.0), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, kind in zip(figure.subplots(2, 1), KINDS, strict=True):
            _draw_cell(axes, getattr(genotype, kind), genotype.nodes)
            axes.set_title(f"{kind} cell", loc="left")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        canvas.print_png(folder / CELLS_PNG)
    return folder / CELLS_PNG


def _draw_cell(axes: Axes, edges: tuple[Edge, ...], nodes: int) -> None:
    last = INPUTS + nodes
    places = {0: (0.0, _SPREAD), 1: (0.0, -_SPREAD), last: (nodes + 1.0, 0.0)}
    places |= {n: (n - 1.0, _SPREAD * (-1) ** n * 0.7) for n in range(INPUTS, last)}
    names = {0: "cell before\nthe last", 1: "last cell", last: "output"}
    for node in range(INPUTS, last):
        _arrow(axes, places[node], places[last], color=INK, alpha=0.25)
    for at, edge in enumerate(edges):
        colour = _colour(OPERATIONS.index(edge.operation))
        start, end = places[edge.source], places[edge.node]
        _arrow(axes, start, end, color=colour, linewidth=2)
        part = 0.42 + 0.16 * (at % 2)
        where = [a + part * (b - a) for a, b in zip(start, end, strict=True)]
        axes.text(*where, edge.operation, color=colour, fontsize=9, **_LABEL)
    for node, place in places.items():
        text = names.get(node, str(node))
        axes.text(*place, text, color=INK, fontsize=10, fontweight="bold", **_NODE)
    axes.set_xlim(-0.6, nodes + 1.6)
    axes.set_ylim(-1.5 * _SPREAD, 1.5 * _SPREAD)
    axes.set_axis_off()


_LABEL = {
    "ha": "center",
    "va": "center",
    "zorder": 3,
    "bbox": {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
}
_NODE = {
    "ha": "center",
    "va": "center",
    "zorder": 4,
    "bbox": {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": INK},
}


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    color: object,
    linewidth: float = 1.0,
    alpha: float = 1.0,
) -> None:
    style = {
        "arrowstyle": "-|>",
        "color": color,
        "linewidth": linewidth,
        "alpha": alpha,
        "shrinkA": 16,
        "shrinkB": 16,
    }
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def _colour(number: int) -> tuple[float, ...]:
    return tuple(mpl.colormaps[COLOUR_MAP](0.05 + 0.9 * number / (len(OPERATIONS) - 1)))


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
    lines = -(-len(edges) // _COLUMNS)
    with mpl.rc_context(STYLE):
        size = (2.0 * _COLUMNS, 3.4 * lines + 1.2)
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = figure.subplots(2 * lines, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for kind, part in zip(KINDS, (panels[:lines], panels[lines:]), strict=True):
            for axes in part.ravel()[len(edges) :]:
                axes.set_visible(False)
            for axes, edge in zip(part.ravel(), edges, strict=False):
                _draw_shares(axes, rows, edge_name(kind, *edge))
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        figure.supxlabel("step")
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
