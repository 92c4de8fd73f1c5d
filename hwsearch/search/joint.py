"""One front for each device over all its tables: its runtimes and precisions are chosen from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import FrontPoint, choose, cost_of, read_points, write_points
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.pareto import knee, pareto_front

FILE = "joint.csv"


@dataclass(frozen=True)
class OneDevice:
    """All tables of a device; a network costs what it costs on the best that allows it.

    Attributes:
        tables: Costs and limits for each table.
        against: Cost that fronts are drawn against.
    """

    tables: tuple[DeviceLimits, ...]
    against: str

    def cost(self, codes: np.ndarray) -> np.ndarray:
        """Returns the least cost of networks int[N, D], float[N]; of one not allowed, any."""
        costs_TN = np.array([table.costs.of(self.against)(codes) for table in self.tables])
        allowed_TN = np.array([table.excess(codes) <= 0 for table in self.tables])
        least = np.where(allowed_TN, costs_TN, np.inf).min(axis=0)
        return np.where(allowed_TN.any(axis=0), least, costs_TN.min(axis=0))

    def excess(self, codes: np.ndarray) -> np.ndarray:
        """Returns by how much networks miss the limits where they miss them least, float[N]."""
        return np.min([table.excess(codes) for table in self.tables], axis=0)


def by_device(tables: Sequence[DeviceLimits], against: str) -> dict[str, OneDevice]:
    """Sorts tables by the device that they are of.

    Raises:
        HwsearchError: If tables of one device are of unlike calls.
    """
    found: dict[str, list[DeviceLimits]] = {}
    for table in tables:
        found.setdefault(table.costs.target.device, []).append(table)
    for device, its in found.items():
        calls = {(one.costs.target.batch, one.costs.target.pace_hz) for one in its}
        if len(calls) > 1:
            raise HwsearchError(
                f"--joint cannot compare tables of {device} whose calls differ in batch or pace",
                where=", ".join(one.costs.label for one in its),
                fix="Give tables of one batch and pace, or leave --joint out",
            )
    return {device: OneDevice(tuple(its), against) for device, its in found.items()}


def with_networks(
    evaluations: Evaluations, tables: Sequence[DeviceLimits], most_distance: float
) -> list[DeviceLimits]:
    """Returns the tables that some evaluated network is of interest on; others were outdone."""
    near, codes = evaluations.distance <= most_distance, evaluations.codes
    return [table for table in tables if (near & (table.excess(codes) <= 0)).any()]


def joint_fronts(
    fronts: Sequence[Sequence[FrontPoint]], against: str
) -> Mapping[str, list[FrontPoint]]:
    """Returns the front of each device, given that of each table; cheapest first.

    Points keep the table that they are to be built for.
    """
    every: dict[str, list[FrontPoint]] = {}
    for front in fronts:
        every.setdefault(device_of(front[0]), []).extend(front)
    return {device: _front(points, against) for device, points in every.items()}


def _front(points: Sequence[FrontPoint], against: str) -> list[FrontPoint]:
    values = np.array([(cost_of(point, against), point.distance) for point in points])
    rows = np.flatnonzero(pareto_front(values))
    rows = rows[np.argsort(values[rows, 0])]
    bend = knee(*values[rows].T)
    return [replace(points[row], index=index, knee=index == bend) for index, row in enumerate(rows)]


def device_of(point: FrontPoint) -> str:
    """Returns the device that a point's table is of."""
    return point.table.split("/")[0]


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
    points = read_points(folder / FILE)
    devices = {device_of(point) for point in points}
    if not device and len(devices) == 1:
        device = devices.pop()
    front = [point for point in points if device_of(point) == device]
    return choose(front, how) if front else None
