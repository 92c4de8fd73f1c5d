"""How every figure looks: type, colours, ticks, legends, files."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hwsearch.journal import write_atomic

INK, KNEE, MEASURED, INTERVAL = "#222222", "#D55E00", "#0072B2", "#9A9A9A"
"""Colours that stay apart for colour-blind eyes (Okabe and Ito)."""

SERIES = ("#009E73", "#E69F00", "#CC79A7")
"""Colours of several tables in one plot, which also differ by their markers."""

COLOUR_MAP = "viridis"
"""From the smallest network to the largest; it reads alike for all eyes."""

THEMES = {
    "light": {
        "ink": INK,
        "knee": KNEE,
        "measured": MEASURED,
        "interval": INTERVAL,
        "quiet": "#5A5A5A",
        "grid": "#E6E6E6",
        "paper": "#FFFFFF",
        "card": "#F6F7F8",
        "edge": "#D0D4D9",
    },
    "dark": {
        "ink": "#ECECEC",
        "knee": "#FF8C42",
        "measured": "#56B4E9",
        "interval": "#8A8F98",
        "quiet": "#B4B9C1",
        "grid": "#31353C",
        "paper": "#16181D",
        "card": "#1F2228",
        "edge": "#434852",
    },
}
"""Colours of the page, by theme; figures have those of the light one."""

_SPANS = {"light": (0.0, 0.9), "dark": (0.28, 1.0)}
"""Which part of the colour map stands out from each theme's paper."""

WIDE = 100
"""Letters of a legend that would not fit into the width of the smallest figure."""

ANY = "#777777"
"""In a legend, what has many colours in the figure."""

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "legend.fontsize": 9,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "svg.hashsalt": "hwsearch",
    "text.parse_math": False,  # names may hold dollar signs
}


def colour_scale(theme: str) -> list[tuple[float, str]]:
    """Returns the colour map as places from 0 to 1 and their colours, for one theme."""
    places = np.linspace(0, 1, 9)
    low, high = _SPANS[theme]
    colours = mpl.colormaps[COLOUR_MAP](low + places * (high - low))
    return [(float(at), to_hex(one)) for at, one in zip(places, colours, strict=True)]


def plain_ticks(axis: Axis, *, wide: bool) -> None:
    """Labels a logarithmic axis with plain numbers, more of them where it is narrow."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide else (1, 1.5, 2, 3, 5, 7)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend(figure: Figure, axes: Axes) -> None:
    """Puts the names of what the axes show below the figure."""
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=4 if len("".join(texts)) < WIDE else 3,
        frameon=False,
        columnspacing=1.4,
        handletextpad=0.5,
    )


def under_title(axes: Axes, text: str) -> None:
    """Writes a second, lighter line between the title and the axes."""
    note = axes.annotate(
        text, (0, 1), (0, 8), "axes fraction", textcoords="offset points", color="#555555"
    )
    note.set_in_layout(False)  # a long line may end above the colour bar


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes a figure as PNG and SVG, byte for byte the same for the same data."""
    files = []
    for kind, about in (("png", {}), ("svg", {"Date": None})):
        drawn = BytesIO()
        figure.savefig(drawn, format=kind, dpi=160, metadata=about)
        files.append(folder / f"{name}.{kind}")
        write_atomic(files[-1], drawn.getvalue())
    return files
