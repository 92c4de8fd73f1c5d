"""Pareto arithmetic: fronts, knees and the hypervolume of latency against distance."""

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


def knee(latency_ms: np.ndarray, distance: np.ndarray) -> int:
    """Finds the knee of a front: the point farthest below the chord between its ends.

    It is where more milliseconds stop buying much. Latency and distance are both scaled to
    0…1 between the ends first. The ends themselves are never the knee; a front of one or two
    points has only ends, and its fastest point is returned.

    Args:
        latency_ms: float[N], latencies of the front in any order.
        distance: float[N], distances of the same points.

    Returns:
        Index into the arrays.
    """
    order = np.argsort(latency_ms)
    between = order[1:-1] if len(order) > 2 else order[:1]
    below = 1 - _unit(latency_ms) - _unit(distance)
    return int(between[np.argmax(np.round(below[between], 12))])


def hypervolume(latency_ms: np.ndarray, distance: np.ndarray) -> float:
    """Share of the box between the ends of all points that their front dominates.

    The box runs from the fastest to the slowest point in log-latency, and from distance 0
    to the distance of the fastest point; 1 would be a network at no latency and no distance.

    Args:
        latency_ms: float[N], latencies of all evaluated networks.
        distance: float[N], their distances.
    """
    worst = distance[np.lexsort((distance, latency_ms))[0]]
    points = np.column_stack([_unit(np.log(latency_ms)), distance / (worst or 1.0)])
    return float(moocore.hypervolume(points, ref=[1.0, 1.0]))


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (values - low) / (high - low if high > low else 1.0)
