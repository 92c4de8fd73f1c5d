"""The learned network is measured on this device; if it misses the target, so is the next."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.journal import Journal
from hwsearch.latency.ships import ShippedLatency
from hwsearch.latency.table import Table
from hwsearch.learn.choose import TOLERANCE, Choice, choose
from hwsearch.learn.gates import Gates
from hwsearch.learn.target import LatencyTarget
from hwsearch.search.confirm import measure_leads
from hwsearch.search.confirmed import FILE, KIND, ConfirmedLatency, confirmed_device
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import Target
from hwsearch.search.limits import DeviceLimits
from hwsearch.shipped import Shipped
from hwsearch.space import Space, Subnet


def elsewhere(table: Table) -> Sequence[str]:
    """Names what tells this device from that of a table; nothing if it is the same."""
    return fingerprint_difference(table.header.fingerprint, fingerprint())


def confirm(
    gates: Gates,
    target: LatencyTarget,
    journal: Journal,
    minutes: float,
    first: Sequence[Subnet] = (),
) -> Choice:
    """Measures the networks that `choose` takes one after the other until one has the latency.

    Each measurement also corrects what is predicted of the others. What contradicts the table is
    measured a second time before it counts: a busy machine may have misled it.

    Args:
        gates: How probable networks are.
        target: Of this device.
        journal: Keeps what is measured; networks in it are not measured again.
        minutes: Most time.
        first: Networks that are preferred to more probable ones, the best first.

    Returns:
        The network that was chosen last, measured unless the time was too short.

    Raises:
        HwsearchError: If the table's references cannot be made again, or an engine fails.
    """

    def leads(known: DeviceLimits) -> Mapping[Subnet, float]:
        if doubtful := _doubtful(target, space, journal.rows):
            return doubtful
        choice = _choose(gates, target, known, first)
        return {} if choice.measured else {choice.subnet: choice.latency_ms}

    space, table = gates.space, target.table
    shipped = Shipped(space)
    latency = ShippedLatency(target.latency, shipped)
    device = DeviceLimits(Costs(Target.of(table), shipped, latency, None), ())
    until = time.monotonic() + 60 * minutes
    measure_leads(space, device, table, leads, journal=journal, until=until)
    return _choose(gates, target, confirmed_device(device, table, journal.rows), first)


def _doubtful(
    target: LatencyTarget, space: Space, rows: Sequence[Mapping[str, Any]]
) -> dict[Subnet, float]:
    """Returns what missed the target once, though the table says that it does not, and its ms."""
    found: dict[Subnet, list[float]] = {}
    for row in rows:
        found.setdefault(space.subnet(**row["subnet"]), []).append(row["latency_ms"])
    return {
        subnet: told_ms[0]
        for subnet, told_ms in found.items()
        if len(told_ms) == 1
        and not _near(target, told_ms[0])
        and _near(target, float(target.latency.predict_subnet(subnet).mean_ms[0]))
    }


def _near(target: LatencyTarget, ms: float) -> bool:
    return abs(ms / target.target_ms - 1) <= TOLERANCE


def _choose(
    gates: Gates, target: LatencyTarget, known: DeviceLimits, first: Sequence[Subnet]
) -> Choice:
    latency = known.costs.latency.network
    assert isinstance(latency, ConfirmedLatency)

    def measured(subnet: Subnet) -> float | None:
        row = latency.row(subnet)
        return None if row is None else row.latency_ms

    return choose(gates, latency.network, target.target_ms, measured, first)


__all__ = ["FILE", "KIND", "confirm", "elsewhere"]
