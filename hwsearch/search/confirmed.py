"""What was measured of a search's networks, and the latencies and fronts that follow from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.block import Block
from hwsearch.journal import read_begun
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import LatencyModel, Prediction, measured_networks, of_measured
from hwsearch.latency.rows import Row
from hwsearch.latency.ships import ShippedLatency
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import Measured
from hwsearch.search.evaluations import Evaluations, label_of
from hwsearch.search.front import FrontPoint
from hwsearch.search.limits import DeviceLimits
from hwsearch.space import Space, Subnet

FILE = "confirmed.jsonl"
"""Name of the journal of measurements in the folder of a search; tables are never changed."""

KIND = "search-confirmed"


@dataclass(frozen=True)
class ConfirmedLatency:
    """Latency as measured where it was, and elsewhere as predicted given that too.

    Attributes:
        network: Predicts; fitted to the table and to what was measured after it.
        space: Of the networks.
        measured: Rows of the table's networks, and what was measured after it, by `Space.key`.
    """

    network: LatencyModel
    space: Space
    measured: Mapping[str, Row]

    def row(self, subnet: Subnet) -> Row | None:
        """Returns what was measured of a network, or None."""
        return self.measured.get(self.space.key(subnet))

    def predict(self, codes: np.ndarray) -> Prediction:
        """Tells networks by code int[N, D]."""
        found = np.array(self.network.predict(codes))
        rows = {at: self.row(self.space.decode(code)) for at, code in enumerate(codes)}
        for at, row in rows.items():
            if row is not None:
                found[:, at] = _interval(row)
        return Prediction(*found)

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Tells networks by code int[N, D] without intervals, float[N]."""
        return self.predict(codes).mean_ms

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Tells one network; arrays of length 1."""
        row = self.row(subnet)
        if row is None:
            return self.network.predict_subnet(subnet)
        return Prediction(*_interval(row)[:, None])

    def added_ms(self, block: Block) -> float:
        """Tells what a block adds to an engine that is called anyway."""
        return self.network.added_ms(block)


def _interval(row: Row) -> np.ndarray:
    return np.array(of_measured(np.array(row.latency_ms), np.array(row.stderr_rel)))


def confirmation(table: Table, subnet: Subnet, found: Measured) -> dict[str, Any]:
    """Returns a measurement as a row of the journal."""
    return {
        "table": label_of(table),
        "subnet": subnet.as_dict(),
        "latency_ms": found.latency_ms,
        "stderr_rel": found.stderr_rel,
        "passes": found.passes,
        "flags": list(found.flags),
    }


def confirmed_device(
    device: DeviceLimits, table: Table, rows: Iterable[Mapping[str, Any]]
) -> DeviceLimits:
    """Returns what networks cost on a device, now that some were measured.

    Args:
        device: As the table alone tells.
        table: The table.
        rows: Of the journal of measurements.
    """
    space, shipped = device.costs.shipped.space, device.costs.shipped
    found = {}
    for values in rows:
        if values["table"] == label_of(table):
            row = _row(values, space)
            found[row.key] = row
    kept = tuple(row for row in table.rows if row.kind != "network" or row.key not in found)
    network = fit_latency(replace(table, rows=(*kept, *found.values())), space)
    known = ConfirmedLatency(network, space, measured_networks(table, space) | found)
    return replace(device, costs=replace(device.costs, latency=ShippedLatency(known, shipped)))


def _row(values: Mapping[str, Any], space: Space) -> Row:
    """Makes a measurement evidence; what it does not tell is not looked at by predictors."""
    ms, unknown = values["latency_ms"], float("nan")
    return Row(
        kind="network",
        key=space.key(space.subnet(**values["subnet"])),
        latency_ms=ms,
        stderr_rel=values["stderr_rel"],
        passes=values["passes"],
        p10_ms=unknown,
        p50_ms=unknown,
        p90_ms=unknown,
        p99_ms=unknown,
        pass_ratios=(),
        engine_sha256="",
        flags=tuple(values["flags"]),
        subnet=values["subnet"],
        split="evidence",
    )


def is_measured(device: DeviceLimits, subnet: Subnet) -> bool:
    """Tells whether a network's latency on a device was measured, for its table or after it."""
    latency = device.costs.latency.network
    return isinstance(latency, ConfirmedLatency) and latency.row(subnet) is not None


def confirmed_devices(
    folder: Path, devices: Sequence[DeviceLimits], tables: Sequence[Table]
) -> list[DeviceLimits]:
    """Returns devices as the measurements in the folder of a search tell, if it holds some."""
    rows = read_begun(folder / FILE, KIND)[1]
    named = {row["table"] for row in rows}
    return [
        confirmed_device(device, table, rows) if label_of(table) in named else device
        for device, table in zip(devices, tables, strict=True)
    ]


def with_latencies(evaluations: Evaluations, devices: Iterable[DeviceLimits]) -> Evaluations:
    """Returns evaluations with the latencies that confirmed devices tell now."""
    columns = evaluations.latency_ms.copy()
    for device in devices:
        if isinstance(device.costs.latency.network, ConfirmedLatency):
            at = evaluations.targets.index(evaluations.target(device.costs.label))
            columns[:, at] = device.costs.of("latency_ms")(evaluations.codes)
    return replace(evaluations, latency_ms=columns)


def told(
    front: Iterable[FrontPoint], evaluations: Evaluations, device: DeviceLimits
) -> list[FrontPoint]:
    """Adds to the points of a front how sure their latency is.

    Args:
        front: Of the device.
        evaluations: With the latencies that the table alone tells.
        device: Costs and limits, confirmed or not.
    """
    space, found = evaluations.space, []
    codes = [tuple(code) for code in evaluations.codes.tolist()]
    alone = dict(zip(codes, evaluations.latencies(device.costs.label), strict=True))
    latency = device.costs.latency.network
    for point in front:
        code = space.encode(point.subnet)
        row = latency.row(point.subnet) if isinstance(latency, ConfirmedLatency) else None
        chance = float(device.chance(code[None])[0]) if device.limits_latency else None
        found.append(
            replace(
                point,
                predicted_ms=float(alone[tuple(code.tolist())]),
                measured_ms=point.latency_ms if row else None,
                measured_stderr_ms=row.stderr_rel * row.latency_ms if row else None,
                within_limits=chance,
            )
        )
    return found
