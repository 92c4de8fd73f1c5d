"""Labels that find a free place beside their point."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

RADII_PT = (16, 26, 40, 58, 80)
"""Distances from the point that are tried, nearest first."""

DIRECTIONS = 16

FARTHER_PT = 20
"""Extra distance that is as bad as one more covered point."""

CROSSED = 20.0
"""How bad a line through another label is, in covered points."""

LINE_POINTS = 96

MARGIN_PX = 5
"""Free space around a label's letters."""


@dataclass(frozen=True)
class Label:
    """Text for one point of the axes, in data coordinates."""

    text: str
    x: float
    y: float
    colour: str


def place_labels(
    axes: Axes, labels: Sequence[Label], points: np.ndarray, renderer: RendererBase
) -> None:
    """Writes each label where it covers the fewest points, and no other label or line to one.

    Args:
        axes: With final limits and layout.
        labels: Placed in this order.
        points: What should stay visible, in data coordinates, float[N, 2].
        renderer: Of the figure's canvas; it knows how large text is.
    """
    shown = axes.transData.transform(points)
    frame, taken = axes.get_window_extent(renderer), []
    for label in labels:
        note = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            color=label.colour,
            fontsize=9,
            fontweight="bold",
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.8, "shrinkB": 4},
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85},
            zorder=10,
        )
        note.set_in_layout(False)
        anchor = axes.transData.transform((label.x, label.y))
        taken.append(_settle(note, renderer, anchor, frame, taken=taken, shown=shown))
        shown = np.vstack([shown, _line(taken[-1], anchor)])


def _settle(
    note: Annotation,
    renderer: RendererBase,
    anchor: np.ndarray,
    frame: Bbox,
    *,
    taken: Sequence[Bbox],
    shown: np.ndarray,
) -> Bbox:
    best_cost, best = np.inf, (0.0, 0.0)
    for radius in RADII_PT:
        for step in range(DIRECTIONS):
            angle = 2 * pi * step / DIRECTIONS
            offset = (radius * 1.6 * cos(angle), radius * sin(angle))
            note.set_position(offset)
            box = _box(note, renderer)
            line = _line(box, anchor)
            crossed = CROSSED * sum(_covered(other, line) > 0 for other in taken)
            cost = _cost(box, frame, taken, shown) + crossed + radius / FARTHER_PT
            if cost < best_cost:
                best_cost, best = cost, offset
    note.set_position(best)
    return _box(note, renderer)


def _box(note: Annotation, renderer: RendererBase) -> Bbox:
    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer).padded(MARGIN_PX)


def _cost(box: Bbox, frame: Bbox, taken: Sequence[Bbox], shown: np.ndarray) -> float:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 <= box.y1 <= frame.y1
    return (
        1000.0 * (not inside)
        + 100.0 * sum(box.overlaps(other) for other in taken)
        + _covered(box, shown)
    )


def _line(box: Bbox, anchor: np.ndarray) -> np.ndarray:
    """Points along the line from a label to what it names, in pixels, float[n, 2]."""
    centre = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    return np.linspace(centre, anchor, LINE_POINTS)


def _covered(box: Bbox, points: np.ndarray) -> int:
    low, high = (box.x0, box.y0), (box.x1, box.y1)
    return int(((points > low) & (points < high)).all(axis=1).sum())
