"""Figures of a learning run: the gates over time, and the network they came to."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwsearch.kinds import cost_of
from hwsearch.report.style import COLOUR_MAP, INK, INTERVAL, MEASURED, STYLE
from hwsearch.space import Space, Subnet
from hwsearch.subnet import Dim

GATES_PNG, NETWORK_PNG = "gates.png", "network.png"
_COLUMNS = 4


def draw_gates(log: Path, space: Space, subnet: Subnet, folder: Path) -> Path:
    """Draws the probability of each choice over the steps, one panel a dimension.

    Args:
        log: `metrics.jsonl` of the run.
        space: Its networks.
        subnet: What was chosen; in each panel's title.
        folder: Where to write.

    Returns:
        The PNG file.
    """
    rows = pd.read_json(log, lines=True)
    count = -(-len(space.dims) // _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * _COLUMNS, 1.7 * count + 0.8), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = figure.subplots(count, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, dim in zip(panels, space.dims, strict=False):
            names = [f"p/{dim.name}={choice}" for choice in dim.choices]
            shares = rows.dropna(subset=names)
            axes.stackplot(
                shares["step"], np.array([shares[name] for name in names]), colors=_colours(dim)
            )
            axes.set_title(f"{dim.name} → {subnet[dim.name]}", loc="left", fontsize=10)
            axes.set_ylim(0, 1)
            axes.grid(visible=False)
        for axes in panels[len(space.dims) :]:
            axes.set_visible(False)
        figure.supxlabel("step")
        figure.supylabel("probability, smallest choice at the bottom")
        canvas.print_png(folder / GATES_PNG)
    return folder / GATES_PNG


def _colours(dim: Dim) -> list[tuple[float, ...]]:
    places = np.linspace(0.1, 0.9, len(dim.choices))
    return [tuple(mpl.colormaps[COLOUR_MAP](place)) for place in places]


def draw_network(space: Space, subnet: Subnet, title: str, folder: Path) -> Path:
    """Draws the channels of each block, beside those of the space's largest network.

    Returns:
        The PNG file.
    """
    chosen = {block.slot: block for block in space.lower(subnet)}
    largest = [block for block in space.lower(space.maximum) if block.output == ""]
    places = np.arange(len(largest))
    kept = [chosen.get(block.slot) for block in largest]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(6.4, 0.42 * len(largest) + 1.5), 4.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        widths = [cost_of(block).out_shape[0] for block in largest]
        axes.bar(places, widths, color=INTERVAL, alpha=0.35, label="largest of the space")
        own = [cost_of(block).out_shape[0] if block else 0 for block in kept]
        axes.bar(places, own, width=0.55, color=MEASURED, label="learned")
        for place, block, width in zip(places, kept, own, strict=True):
            if block is not None:
                text = f"{block.kernel}×{block.kernel}"
                axes.annotate(text, (place, width), ha="center", va="bottom", fontsize=7, color=INK)
        axes.set_xticks(places, [block.slot for block in largest], rotation=90, fontsize=8)
        axes.set_ylabel("output channels")
        axes.set_title("\n".join(_wrapped(title)), loc="left", fontsize=9)
        axes.legend(frameon=False)
        canvas.print_png(folder / NETWORK_PNG)
    return folder / NETWORK_PNG


def _wrapped(title: str, most: int = 80) -> list[str]:
    lines = [""]
    for word in title.split(","):
        if len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] += f"{word},"
    lines[-1] = lines[-1].removesuffix(",")
    return lines
