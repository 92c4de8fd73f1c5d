"""Pareto arithmetic: fronts, knees and the hypervolume of costs against distance."""

import moocore
import numpy as np


def pareto_front(points: np.ndarray) -> np.ndarray:
    """Marks the points that no other point beats; of equal points only the first.

    Args:
        points: float[N, M], every column lower is better.

    Returns:
        bool[N].
    """
    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=bool)


def front_and_knee(costs: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, int]:
    """Finds a front, cheapest by the first cost first, and its knee.

    Args:
        costs: float[N, K].
        distance: float[N].

    Returns:
        Rows of the front, int[n], and which of the N rows is the knee.
    """
    points = np.column_stack([costs, distance])
    rows = np.flatnonzero(pareto_front(points))
    rows = rows[np.lexsort(points[rows].T[::-1])]
    return rows, int(rows[knee(*points[rows].T)])


def knee(*objectives: np.ndarray) -> int:
    """Finds the knee of a front: the point farthest below the plane through its ends.

    It is where more milliseconds stop buying much. All objectives are scaled to 0…1 between the
    ends first. What is the best in one of them is an end and never the knee; in a front of ends
    alone, the first objective's is returned.

    Args:
        objectives: Such as latency and distance, each float[N], of the front in any order.

    Returns:
        Index into the arrays.
    """
    columns = np.stack(objectives)
    ends = (columns == columns.min(axis=1, keepdims=True)).any(axis=0)
    if ends.all():
        return int(np.argmin(columns[0]))
    below = 1 - sum(map(_unit, columns))
    return int(np.argmax(np.where(ends, -np.inf, np.round(below, 12))))


def hypervolume(costs: np.ndarray, distance: np.ndarray) -> float:
    """Share of the box between the ends of all points that their front dominates.

    The box runs from the least to the greatest logarithm of each cost, and from distance 0 to that
    of the cheapest point, or with several costs to the greatest; 1 would be a network at no cost
    and no distance.

    Args:
        costs: Of all evaluated networks, float[N, K], or float[N] for one.
        distance: float[N], their distances.
    """
    costs = costs.reshape(len(costs), -1)
    worst = distance[np.lexsort((distance, costs[:, 0]))[0]]
    worst = worst if costs.shape[1] == 1 else distance.max()
    places = [_unit(np.log(cost)) for cost in costs.T]
    points = np.column_stack([*places, distance / (worst or 1.0)])
    return float(moocore.hypervolume(points, ref=np.ones(points.shape[1])))


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (values - low) / (high - low if high > low else 1.0)
