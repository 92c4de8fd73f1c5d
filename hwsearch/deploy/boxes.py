"""Boxes from what an engine with a head for detection gives; needs NumPy alone.

Shapes: C classes, G side of the grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

MOST = 100
"""Most boxes told an image, as COCO counts them."""


@dataclass(frozen=True)
class Box:
    """Something that was found in an image.

    Attributes:
        label: Name of its class.
        score: How sure, 0 to 1.
        left: Pixels from the left edge of the image to its own.
        top: Pixels from the top.
        right: Pixels from the left edge to its right one.
        bottom: Pixels from the top to its lower one.
    """

    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


def boxes_of(
    scores_CGG: np.ndarray,
    corners_4GG: np.ndarray,
    classes: tuple[str, ...],
    size: tuple[int, int],
    least_score: float,
) -> list[Box]:
    """Returns the boxes where a score is the largest of the places around, the best first.

    Args:
        scores_CGG: How likely a box of a class has its middle at a place.
        corners_4GG: Left, top, right and bottom of the box there, shares of the centre square.
        classes: Names.
        size: Height and width of the image in pixels.
        least_score: Boxes below are left out.
    """
    padded = np.pad(scores_CGG, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    around_CGG = sliding_window_view(padded, (3, 3), (1, 2)).max((3, 4))
    peaks = np.flatnonzero((scores_CGG == around_CGG) & (scores_CGG >= least_score))
    best = peaks[np.argsort(-scores_CGG.ravel()[peaks], kind="stable")][:MOST]
    labels, rows, columns = np.unravel_index(best, scores_CGG.shape)
    short, (height, width) = min(size), size
    left, top = (width - short) / 2, (height - short) / 2
    shifts = np.array([left, top, left, top])
    corners = corners_4GG[:, rows, columns].T * short + shifts
    return [
        Box(classes[label], float(scores_CGG.ravel()[place]), *map(float, box))
        for label, place, box in zip(labels, best, corners, strict=True)
    ]
