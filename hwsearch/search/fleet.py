"""Fleet: the one network for several devices, and how it is picked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import LATENCY, Evaluations, match_table
from hwsearch.search.front import (
    FrontPoint,
    costs_against,
    describe,
    read_front,
    read_points,
    write_points,
)
from hwsearch.search.joint import pick_joint
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.pick import pick_point
from hwsearch.spaces.precisions import without_precision

FILE = "fleet.csv"
PICK = "fleet"


@dataclass(frozen=True)
class Fleet:
    """One network for all devices.

    Attributes:
        points: It on each device.
        regret: By how much its distance exceeds that of the best network there, float[T].
    """

    points: tuple[FrontPoint, ...]
    regret: np.ndarray


def find_fleet(
    evaluations: Evaluations,
    devices: Sequence[DeviceLimits],
    fronts: Sequence[Sequence[FrontPoint]],
    *,
    against: Sequence[str] = LATENCY,
) -> Fleet | None:
    """Finds the network of least worst-case regret.

    Each device has a budget: its limits or, where it has none, what the knee of its own front
    costs. The regret of a network on a device is its distance less that of the best network within
    the device's budget, and infinite outside of it. With tables of one precision a distance is the
    same on every device, so the network found is also the closest to the teacher of all that every
    device can afford. Otherwise it counts on each device as it was evaluated in its precision.

    Args:
        evaluations: All evaluated networks.
        devices: Costs and limits of each.
        fronts: Of each device, with one knee.
        against: Costs that the fronts are drawn against.

    Returns:
        The network, or None if none is within every budget.
    """
    regret_NT = np.column_stack(
        [
            _regret(evaluations, device, front, against)
            for device, front in zip(devices, fronts, strict=True)
        ]
    )
    networks = without_precision(evaluations.space, evaluations.codes)
    owner_N = np.unique(networks, axis=0, return_inverse=True)[1].reshape(-1)
    regret_UT = np.full((owner_N.max() + 1, len(devices)), np.inf)
    np.minimum.at(regret_UT, owner_N, regret_NT)
    best = int(np.argmin(regret_UT.max(axis=1)))
    if not np.isfinite(regret_UT[best]).all():
        return None
    rows = np.flatnonzero(owner_N == best)
    points = []
    for device, front, regret_N in zip(devices, fronts, regret_NT.T, strict=True):
        (point,) = describe(evaluations, rows[[np.argmin(regret_N[rows])]], device.costs)
        points.append(next((one for one in front if one.subnet == point.subnet), point))
    return Fleet(tuple(points), regret_UT[best])


def _regret(
    evaluations: Evaluations,
    device: DeviceLimits,
    front: Sequence[FrontPoint],
    against: Sequence[str],
) -> np.ndarray:
    """Regret of every evaluated network on one device, infinite over its budget, float[N]."""
    space, affordable = evaluations.space, device.excess(evaluations.codes) <= 0
    if not device.limits:
        bend = next(point for point in front if point.knee)
        costs, code = costs_against(evaluations, device.costs, against), space.encode(bend.subnet)
        its = costs[(evaluations.codes == code).all(axis=1)]
        affordable &= (costs <= its).all(axis=1)
    best = evaluations.distance[affordable].min(initial=np.inf)
    return np.where(affordable, evaluations.distance - best, np.inf)


def write_fleet(fleet: Fleet | None, folder: Path) -> None:
    """Writes fleet.csv into the folder of a search, or takes away that of an earlier one."""
    if fleet is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        write_points(fleet.points, folder / FILE)


def pick_network(folder: Path, table: str, how: str) -> FrontPoint:
    """Picks one network of a search for a table.

    Args:
        folder: Of the search.
        table: Label, name or path of the table, or a device with a joint front; may be empty if
            there is only one.
        how: "fleet", or as `pick_point` takes it.

    Raises:
        HwsearchError: If the words cannot be read or no network fits.
    """
    if how != PICK:
        joint = pick_joint(folder, table, how)
        return joint or pick_point(read_front(folder), table, how)
    if not (folder / FILE).is_file():
        raise HwsearchError(
            "the search has no network for a fleet",
            where=folder,
            fix="Search with --tables of several devices, and limits that one network can keep",
        )
    points = read_points(folder / FILE)
    label = match_table(table, (point.table for point in points))
    return next(point for point in points if point.table == label)
