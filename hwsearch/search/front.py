"""Front: the non-dominated networks of a search, for each table, and the file that keeps them."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import LATENCY, Evaluations
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.pareto import front_and_knee
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

FILE = "front.csv"
COLUMNS = (
    "table",
    "index",
    "knee",
    "latency_ms",
    "low_ms",
    "high_ms",
    "distance",
    "macs",
    "params",
    "weight_bytes",
    "activation_bytes",
    "energy_mj",
    "predicted_ms",
    "measured_ms",
    "measured_stderr_ms",
    "within_limits",
)
_OPTIONAL = COLUMNS[COLUMNS.index("energy_mj") :]


@dataclass(frozen=True)
class FrontPoint:
    """One network for one table, as it ships; most are on the table's front.

    Attributes:
        table: Name of the latency table.
        index: Place in the table's front, 0 is the cheapest; -1 is none.
        subnet: The network.
        distance: Teacher distance, lower is better.
        latency_ms: Latency, as measured if the network was confirmed, else as predicted.
        low_ms: Lower end of its 90 % interval.
        high_ms: Upper end of its 90 % interval.
        macs: Multiply-accumulates for one image.
        params: Learned parameters.
        weight_bytes: What the engine's weights take.
        activation_bytes: Most that feature maps take at once, for a call of the table's batch.
        knee: Whether this is the front's knee.
        energy_mj: Predicted millijoules a call, or None where the table has no energies.
        predicted_ms: What the table alone predicts, or None if nothing was confirmed.
        measured_ms: Measured latency, what ships around the network as predicted, or None.
        measured_stderr_ms: Standard error of the measurement, likewise.
        within_limits: Probability that it meets all limits on latency, or None without any.
    """

    table: str
    index: int
    subnet: Subnet
    distance: float
    latency_ms: float
    low_ms: float
    high_ms: float
    macs: int
    params: int
    weight_bytes: int
    activation_bytes: int
    knee: bool
    energy_mj: float | None = None
    predicted_ms: float | None = None
    measured_ms: float | None = None
    measured_stderr_ms: float | None = None
    within_limits: float | None = None


def find_front(
    evaluations: Evaluations,
    device: DeviceLimits,
    *,
    against: Sequence[str] = LATENCY,
    most_distance: float = np.inf,
) -> list[FrontPoint]:
    """Returns the front of one table, cheapest network first.

    Args:
        evaluations: All evaluated networks.
        device: The table's costs and limits; what breaks one is left out.
        against: Costs that the front is drawn against; it is in the order of the first.
        most_distance: Distance above which networks are left out.

    Raises:
        HwsearchError: If every network is left out.
    """
    codes, distance = evaluations.codes, evaluations.distance
    kept = np.flatnonzero((device.excess(codes) <= 0) & (distance <= most_distance))
    if not len(kept):
        raise _nothing_left(evaluations, device, most_distance)
    costs = costs_against(evaluations, device.costs, against)[kept]
    best, bend = front_and_knee(costs, distance[kept])
    points = describe(evaluations, kept[best], device.costs)
    return [
        replace(point, index=index, knee=best[index] == bend) for index, point in enumerate(points)
    ]


def costs_against(evaluations: Evaluations, costs: Costs, against: Sequence[str]) -> np.ndarray:
    """Returns what all evaluated networks cost on one device, float[N, K].

    Latencies are as journaled.
    """
    found = [
        evaluations.latencies(costs.label)
        if name == "latency_ms"
        else costs.of(name)(evaluations.codes)
        for name in against
    ]
    return np.column_stack(found)


def costs_of(point: FrontPoint, against: Sequence[str]) -> list[float]:
    """Returns what a point costs: what its front is drawn against."""
    return [_COST_OF[name](point) for name in against]


_COST_OF: dict[str, Callable[[FrontPoint], float]] = {
    "latency_ms": lambda point: point.latency_ms,
    "macs": lambda point: float(point.macs),
    "weights_mb": lambda point: point.weight_bytes / 1e6,
    "peak_memory_mb": lambda point: point.activation_bytes / 1e6,
    "energy_mj": lambda point: point.energy_mj or 0.0,
}


def _nothing_left(
    evaluations: Evaluations, device: DeviceLimits, most_distance: float
) -> HwsearchError:
    kept = device.excess(evaluations.codes) <= 0
    if not kept.any():
        return HwsearchError(
            f"no evaluated network keeps the limits on {device.costs.label} as measured",
            fix="Evaluate more with --evaluations, or relax the limits in another --out",
        )
    nearest = float(evaluations.distance[kept].min(initial=np.inf))
    return HwsearchError(
        f"no evaluated network has --limit distance<={most_distance:g} on {device.costs.label}; "
        f"the nearest has {nearest:.4g}",
        fix="Evaluate more with --evaluations, or relax the limit in another --out and name this "
        "one with --warm",
    )


def describe(evaluations: Evaluations, rows: np.ndarray, costs: Costs) -> list[FrontPoint]:
    """Returns evaluated networks, given by row, as points without a place in a front."""
    codes, latency_ms = evaluations.codes[rows], evaluations.latencies(costs.label)
    predicted, totals = costs.latency.predict(codes), costs.totals(codes)
    return [
        FrontPoint(
            table=costs.label,
            index=-1,
            subnet=evaluations.space.decode(codes[at]),
            distance=float(evaluations.distance[row]),
            latency_ms=float(latency_ms[row]),
            low_ms=float(predicted.low_ms[at]),
            high_ms=float(predicted.high_ms[at]),
            knee=False,
            **{name: values[at].item() for name, values in totals.items()},
        )
        for at, row in enumerate(rows)
    ]


def write_front(points: Sequence[FrontPoint], folder: Path) -> Path:
    """Writes front.csv into the folder of a search, atomically."""
    return write_points(points, folder / FILE)


def write_points(points: Sequence[FrontPoint], path: Path) -> Path:
    """Writes points of one space as CSV, atomically."""
    return write_rows([front_row(point) | point.subnet.as_dict() for point in points], path)


def front_row(point: FrontPoint) -> dict[str, Any]:
    """Returns what a CSV file says of a point, whatever its space."""
    row = {name: getattr(point, name) for name in COLUMNS}
    return row | {"space": point.subnet.space, "subnet": str(point.subnet)}


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> Path:
    """Writes rows of equal columns as CSV, atomically."""
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())
    return path


def read_front(folder: Path) -> list[FrontPoint]:
    """Reads front.csv from the folder of a search.

    Raises:
        HwsearchError: If the search has not written its front, or the file is damaged.
    """
    return read_points(folder / FILE, lambda point: point.table)


def read_points(
    path: Path, front_of: Callable[[FrontPoint], str] | None = None
) -> list[FrontPoint]:
    """Reads what `write_points` has written.

    Args:
        path: The file.
        front_of: Names the front that a point is on, where they are fronts: each has one knee.

    Raises:
        HwsearchError: See `read_front`.
    """
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise ValueError("it is empty")
            points = [_point(row) for row in reader]
        if front_of is not None:
            _check_knees(map(front_of, points), [front_of(p) for p in points if p.knee])
        return points
    except FileNotFoundError as cause:
        raise HwsearchError(
            "no front found", where=path, fix="Let hwsearch search --out finish in this folder"
        ) from cause
    except (ValueError, KeyError, TypeError, csv.Error) as cause:
        raise HwsearchError(
            f"damaged front: {cause}", where=path, fix="Run the same hwsearch search again"
        ) from cause


def _check_knees(fronts: Iterable[str], of_knees: Sequence[str]) -> None:
    for front in fronts:
        if (count := of_knees.count(front)) != 1:
            raise ValueError(f"{count} knees for {front}")


def _point(row: Mapping[str, str]) -> FrontPoint:
    return FrontPoint(
        table=row["table"],
        index=int(row["index"]),
        subnet=get_space(row["space"]).parse(row["subnet"]),
        distance=float(row["distance"]),
        latency_ms=float(row["latency_ms"]),
        low_ms=float(row["low_ms"]),
        high_ms=float(row["high_ms"]),
        macs=int(row["macs"]),
        params=int(row["params"]),
        weight_bytes=int(row["weight_bytes"]),
        activation_bytes=int(row["activation_bytes"]),
        knee=row["knee"] == "True",
        **{name: float(row[name]) if row.get(name) else None for name in _OPTIONAL},
    )
