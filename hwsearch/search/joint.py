"""One front for each device over all its tables: its runtimes and precisions are chosen from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import FrontPoint, costs_of, read_points, write_points
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.pareto import front_and_knee
from hwsearch.search.pick import choose

FILE = "joint.csv"


def with_networks(
    evaluations: Evaluations, tables: Sequence[DeviceLimits], most_distance: float
) -> list[DeviceLimits]:
    """Returns the tables that some evaluated network is of interest on; others were outdone."""
    near, codes = evaluations.distance <= most_distance, evaluations.codes
    return [table for table in tables if (near & (table.excess(codes) <= 0)).any()]


def joint_fronts(
    fronts: Sequence[Sequence[FrontPoint]], against: Sequence[str]
) -> Mapping[str, list[FrontPoint]]:
    """Returns the front of each device, given that of each table; cheapest first.

    Points keep the table that they are to be built for.
    """
    every: dict[str, list[FrontPoint]] = {}
    for front in fronts:
        every.setdefault(device_of(front[0].table), []).extend(front)
    return {device: _front(points, against) for device, points in every.items()}


def _front(points: Sequence[FrontPoint], against: Sequence[str]) -> list[FrontPoint]:
    costs = np.array([costs_of(point, against) for point in points])
    distance = np.array([point.distance for point in points])
    rows, bend = front_and_knee(costs, distance)
    return [replace(points[row], index=index, knee=row == bend) for index, row in enumerate(rows)]


def device_of(table: str) -> str:
    """Returns the device that a table is of, by its label "device/name"."""
    return table.split("/", maxsplit=1)[0]


def write_joint(fronts: Mapping[str, Sequence[FrontPoint]], folder: Path) -> None:
    """Writes joint.csv into the folder of a search."""
    write_points([point for front in fronts.values() for point in front], folder / FILE)


def pick_joint(folder: Path, device: str, how: str) -> FrontPoint | None:
    """Picks a network and the table to build it for from a device's joint front.

    Args:
        folder: Of the search.
        device: Name of the device; may be empty if there is only one.
        how: As `choose` takes it.

    Returns:
        The point, or None if the search has no joint front of that device.
    """
    if not (folder / FILE).is_file():
        return None
    points = read_points(folder / FILE, lambda point: device_of(point.table))
    devices = {device_of(point.table) for point in points}
    if not device and len(devices) == 1:
        device = devices.pop()
    front = [point for point in points if device_of(point.table) == device]
    return choose(front, how) if front else None
