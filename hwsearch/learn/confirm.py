"""The learned network is measured on this device; if it misses the target, so is the next."""

import time
from collections.abc import Mapping, Sequence

from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.journal import Journal
from hwsearch.latency.ships import ShippedLatency
from hwsearch.latency.table import Table
from hwsearch.learn.choose import Choice, choose
from hwsearch.learn.gates import Gates
from hwsearch.learn.target import LatencyTarget
from hwsearch.search.confirm import measure_leads
from hwsearch.search.confirmed import FILE, KIND, ConfirmedLatency, confirmed_device
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import Target
from hwsearch.search.limits import DeviceLimits
from hwsearch.shipped import Shipped
from hwsearch.space import Subnet


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

    Each measurement also corrects what is predicted of the others.

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
        choice = _choose(gates, target, known, first)
        return {} if choice.measured else {choice.subnet: choice.latency_ms}

    space, table = gates.space, target.table
    shipped = Shipped(space)
    latency = ShippedLatency(target.latency, shipped)
    device = DeviceLimits(Costs(Target.of(table), shipped, latency, None), ())
    until = time.monotonic() + 60 * minutes
    measure_leads(space, device, table, leads, journal=journal, until=until)
    return _choose(gates, target, confirmed_device(device, table, journal.rows), first)


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
