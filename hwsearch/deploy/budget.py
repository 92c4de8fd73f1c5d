"""A budget that holds: what may meet it is measured before one network is delivered."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwsearch.deploy.manifest import Latency
from hwsearch.deploy.proof import high_ms
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_begun
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import Measured
from hwsearch.search.confirm import hopeful, measure_leads
from hwsearch.search.confirmed import (
    FILE,
    KIND,
    confirmation,
    confirmed_device,
    is_measured,
    told,
    with_latencies,
)
from hwsearch.search.evaluations import Evaluations, label_of
from hwsearch.search.front import FrontPoint, describe
from hwsearch.search.inputs import SearchInputs
from hwsearch.search.joint import device_of
from hwsearch.search.limits import DeviceLimits, Limit, most_distance
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import network_of

COST = "latency_high_ms"
"""What must be within the budget: 95 % of a network's latencies are below it."""


@dataclass(frozen=True, eq=False)
class Budget:
    """The search for the closest network whose latency is within a budget.

    Attributes:
        inputs: Of the search.
        evaluations: Its networks, with the latencies that tables alone tell.
        tables: That a network may be delivered for; all of this device.
        devices: What networks cost and must keep as the tables alone tell, by label of the table.
        limit_ms: The budget.
        journal: Keeps what is measured.
    """

    inputs: SearchInputs
    evaluations: Evaluations
    tables: tuple[Table, ...]
    devices: Mapping[str, DeviceLimits]
    limit_ms: float
    journal: Journal

    @classmethod
    def open(
        cls, inputs: SearchInputs, tables: Iterable[Table], limit_ms: float, journal: Journal
    ) -> "Budget":
        """Reads what the search has evaluated, and measured with --confirm.

        Args:
            inputs: Of the search.
            tables: That a network may be delivered for; all of this device.
            limit_ms: The budget.
            journal: Empty; keeps what is measured.
        """
        limit, devices = Limit(COST, most=True, number=limit_ms), {}
        for table, device in zip(inputs.tables, inputs.devices(), strict=True):
            devices[label_of(table)] = replace(device, limits=(*device.limits, limit))
        for row in read_begun(inputs.options.out / FILE, KIND)[1]:
            journal.append(row)
        tables, evaluations = tuple(tables), Evaluations.read(inputs.options.out).whole()
        return cls(inputs, evaluations, tables, devices, limit_ms, journal)

    def measure(self, seconds: float) -> None:
        """Measures what may be delivered, each time correcting what is predicted of the rest.

        Args:
            seconds: Most time, for all tables together.
        """
        end = time.monotonic() + seconds
        for left, table in zip(range(len(self.tables), 0, -1), self.tables, strict=True):
            now = time.monotonic()
            measure_leads(
                self.inputs.space,
                self.devices[label_of(table)],
                table,
                self._leads,
                journal=self.journal,
                until=now + (end - now) / left,
            )

    def best(self) -> FrontPoint:
        """Returns the network closest to the teacher that is within the budget.

        Raises:
            HwsearchError: If none is; names the nearest.
        """
        found = [point for table in self.tables for point in self._best_of(table)]
        if found:
            return min(found, key=lambda point: (point.distance, point.latency_ms))
        near = [point for table in self.tables for point in self._nearest(table)]
        nearest = min(near, key=lambda point: point.high_ms)
        how = "measured" if nearest.measured_ms is not None else "predicted"
        least = np.ceil(nearest.high_ms * 1000) / 1000
        raise HwsearchError(
            f"infeasible: no evaluated network is within {self.limit_ms:g} ms with 95 % "
            f"probability; nearest is {nearest.subnet} on {nearest.table}, {how} "
            f"{nearest.latency_ms:.3f} ms ({nearest.low_ms:.3f} to {nearest.high_ms:.3f})",
            where=self.inputs.options.out,
            fix=f"Use --pick max-latency-ms={least:.3f} or more, or search with "
            f'--limit "{COST}<={self.limit_ms:g}"',
        )

    def holds(self, point: FrontPoint, latency: Latency) -> bool:
        """Takes what was measured of a network's own engine; tells whether it is in the budget."""
        table = next(table for table in self.tables if label_of(table) == point.table)
        found = Measured(latency.measured_ms, latency.measured_stderr_rel, 1, latency.flags)
        ships = self.devices[point.table].costs.latency
        added_ms = ships.around_ms(point.subnet, ships.shipped.extras)
        network_ms = found.latency_ms + latency.around_ms - added_ms
        network = network_of(self.inputs.space, point.subnet)
        alone = replace(found, latency_ms=network_ms)
        self.journal.append(confirmation(table, network, alone))
        return high_ms(found) + latency.around_ms <= self.limit_ms

    def _leads(self, known: DeviceLimits) -> Mapping[Subnet, float]:
        """Returns the best network, unless it was measured, and those that may be better."""
        now, most = with_latencies(self.evaluations, [known]), most_distance(self.inputs.limits)
        best = [
            row
            for row in _best_row(now, known, most)
            if not is_measured(known, now.space.decode(now.codes[row]))
        ]
        latency_ms = now.latencies(known.costs.label)
        rows = [*best, *hopeful(now, known, most)]
        return {now.space.decode(now.codes[row]): float(latency_ms[row]) for row in rows}

    def _now(self, table: Table) -> tuple[Evaluations, DeviceLimits]:
        known = confirmed_device(self.devices[label_of(table)], table, self.journal.rows)
        return with_latencies(self.evaluations, [known]), known

    def _best_of(self, table: Table) -> list[FrontPoint]:
        now, known = self._now(table)
        rows = _best_row(now, known, most_distance(self.inputs.limits))
        return told(describe(now, np.array(rows, dtype=int), known.costs), self.evaluations, known)

    def _nearest(self, table: Table) -> list[FrontPoint]:
        now, known = self._now(table)
        rows = np.flatnonzero(now.runs_on(now.target(known.costs.label)))
        if not len(rows):
            return []
        rows = rows[[np.argmin(known.excess(now.codes[rows]))]]
        return told(describe(now, rows, known.costs), self.evaluations, known)


@contextmanager
def open_budget(limit_ms: float, inputs: SearchInputs, tables: Sequence[Table]) -> Iterator[Budget]:
    """Yields a budget whose measurements are forgotten when it ends; see `Budget.open`."""
    with (
        tempfile.TemporaryDirectory(prefix="hwsearch-") as temporary,
        Journal.open(Path(temporary) / FILE, KIND, {}) as journal,
    ):
        yield Budget.open(inputs, tables, limit_ms, journal)


def target_tables(inputs: SearchInputs, text: str) -> list[Table]:
    """Returns the tables of a search that a user means.

    Args:
        inputs: Of the search.
        text: Label, name or path of one; after a joint search, a device: all its tables.
    """
    devices = {device_of(label) for label in inputs.labels}
    if inputs.options.joint and (text in devices or (not text and len(devices) == 1)):
        pairs = zip(inputs.labels, inputs.tables, strict=True)
        return [table for label, table in pairs if device_of(label) == (text or min(devices))]
    return [inputs.table(text)]


def _best_row(now: Evaluations, device: DeviceLimits, most: float) -> list[int]:
    """Returns the row of the closest network that keeps all limits, if there is one."""
    kept = (device.excess(now.codes) <= 0) & (now.distance <= most)
    if not kept.any():
        return []
    return [int(np.argmin(np.where(kept, now.distance, np.inf)))]
