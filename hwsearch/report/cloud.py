"""Fewer points that look like all of them."""

import numpy as np

CELLS = (400, 280, 200, 140, 100, 70, 50, 35, 25, 16, 10)
"""Cells along each axis of the grids that are tried; a marker covers about one of 140."""


def thin(points: np.ndarray, most: int) -> np.ndarray:
    """Keeps one point of each cell of the finest grid that leaves few enough: the first.

    Args:
        points: Latency, above 0, and distance, float[N, 2], all finite.
        most: How many may be kept.

    Returns:
        Rows that are kept, rising, int[n]; all of them where N is not above `most`.
    """
    if len(points) <= most:
        return np.arange(len(points))
    places = np.column_stack([np.log(points[:, 0]), points[:, 1]])
    low, high = places.min(axis=0), places.max(axis=0)
    places = (places - low) / np.where(high > low, high - low, 1.0)
    rows = np.arange(0)
    for cells in CELLS:
        corners = np.minimum((places * cells).astype(int), cells - 1)
        rows = np.sort(np.unique(corners @ (cells, 1), return_index=True)[1])
        if len(rows) <= most:
            break
    return rows[:most]
