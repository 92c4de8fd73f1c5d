"""Confirm: the networks of each front are measured on this device, until all of them are."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.journal import Journal
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import remeasure_networks
from hwsearch.progress import say
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
from hwsearch.search.front import find_front
from hwsearch.search.inputs import SearchInputs
from hwsearch.search.limits import DeviceLimits, most_distance
from hwsearch.search.pareto import pareto_front
from hwsearch.space import Space, Subnet
from hwsearch.spaces.precisions import network_of

FIRST_SECONDS = 4.0
"""What a round of measurements takes beside its networks."""

CALLS = 200
"""A network settles after about as many calls, though not before `LEAST_SECONDS`."""

LEAST_SECONDS = 1.5

LEAST_CHANCE = 0.05
"""A network that is predicted to miss a limit on latency is measured if its chance is not less."""


def confirm(
    inputs: SearchInputs, evaluations: Evaluations, devices: Sequence[DeviceLimits]
) -> None:
    """Measures the fronts of those tables that are of this device, in turn.

    Networks are measured as profiling does, in fresh processes. Each measurement also corrects what
    is predicted of the others, so that the front moves, and what has come onto it is measured next.

    Args:
        inputs: Of the search; its time is for all tables together.
        evaluations: All evaluated networks.
        devices: Costs and limits, as the tables alone tell.

    Raises:
        HwsearchError: If a table's references cannot be made again, or an engine fails.
    """
    end = time.monotonic() + 60 * inputs.options.confirm_minutes
    here = [(d, t) for d, t in zip(devices, inputs.tables, strict=True) if _is_here(t)]
    with Journal.open(inputs.options.out / FILE, KIND, inputs.header()) as journal:
        for left, (device, table) in zip(range(len(here), 0, -1), here, strict=True):
            now = time.monotonic()
            until = now + (end - now) / left
            _confirm_table(inputs, evaluations, device, table, journal=journal, until=until)


def _is_here(table: Table) -> bool:
    """Tells whether a table is of this device; says what to do if it is not."""
    if not (differing := fingerprint_difference(table.header.fingerprint, fingerprint())):
        return True
    say(
        f"{label_of(table)} cannot be confirmed here, it is of another device "
        f"({', '.join(differing)}): run this search with --confirm there, or measure more networks "
        f"there with hwsearch kit --space {table.space} --runtime {table.runtime}"
    )
    return False


def _confirm_table(
    inputs: SearchInputs,
    evaluations: Evaluations,
    device: DeviceLimits,
    table: Table,
    *,
    journal: Journal,
    until: float,
) -> None:
    leads = partial(_leading, inputs, evaluations)
    left = measure_leads(evaluations.space, device, table, leads, journal=journal, until=until)
    rest = f"{len(left)} are left: give more --confirm-minutes" if left else "none is left"
    say(f"{label_of(table)}: of the front {rest}")


def measure_leads(
    space: Space,
    device: DeviceLimits,
    table: Table,
    leads: Callable[[DeviceLimits], Mapping[Subnet, float]],
    *,
    journal: Journal,
    until: float,
) -> Mapping[Subnet, float]:
    """Measures and refits until all that lead are measured, or until then on the clock.

    Args:
        space: Of the networks.
        device: Costs and limits, as the table alone tells.
        table: Of this device.
        leads: Tells, given what is known by now, what to measure, most wanted first, and the
            latency in ms of each.
        journal: Keeps what is measured.
        until: On the clock of `time.monotonic`.

    Returns:
        What leads and is not measured.

    Raises:
        HwsearchError: If the table's references cannot be made again, or an engine fails.
    """
    measured = inside = 0
    while True:
        known = confirmed_device(device, table, journal.rows)
        leading = leads(known)
        some, seconds = _fitting(leading, until - time.monotonic())
        if not some:
            break
        alone = {network_of(space, subnet): subnet for subnet in some}
        found = remeasure_networks(list(alone), table, budget_seconds=seconds, every=False)
        for network, one in found.items():
            journal.append(confirmation(table, network, one))
            low_ms, high_ms = known.costs.latency.network.predict_subnet(alone[network])[1:]
            inside += bool(low_ms[0] <= one.latency_ms <= high_ms[0])
        measured += len(found)
    if measured:
        say(
            f"{label_of(table)}: {measured} networks measured, {inside} of them inside their "
            "predicted 90 % intervals"
        )
    return leading


def _leading(
    inputs: SearchInputs, evaluations: Evaluations, device: DeviceLimits
) -> dict[Subnet, float]:
    """Returns networks that should be measured, with their latency in ms: the knee first."""
    now, most = with_latencies(evaluations, [device]), most_distance(inputs.limits)
    front = find_front(now, device, against=inputs.options.against, most_distance=most)
    front = told(front, evaluations, device)
    bend = next(point.index for point in front if point.knee)
    front.sort(key=lambda point: abs(point.index - bend))
    found = {point.subnet: point.latency_ms for point in front if point.measured_ms is None}
    latency_ms = now.latencies(device.costs.label)
    rows = hopeful(now, device, most)
    return found | {now.space.decode(now.codes[row]): float(latency_ms[row]) for row in rows}


def hopeful(evaluations: Evaluations, device: DeviceLimits, most: float) -> np.ndarray:
    """Returns rows of networks that may meet a limit on latency after all, and would then lead.

    Args:
        evaluations: With the latencies that the device tells now.
        device: Costs and limits; what it knows as measured is left out.
        most: Largest distance of interest.
    """
    if not device.limits_latency:
        return np.array([], dtype=int)
    codes, distance = evaluations.codes, evaluations.distance
    missed = device.excess(codes) > 0
    best = min(most, distance[~missed].min(initial=np.inf))
    rows = np.flatnonzero(missed & (distance < best) & (device.chance(codes) >= LEAST_CHANCE))
    new = [not is_measured(device, evaluations.space.decode(codes[row])) for row in rows]
    rows = rows[np.array(new, dtype=bool)]
    points = np.column_stack([evaluations.latencies(device.costs.label)[rows], distance[rows]])
    return rows[pareto_front(points)] if len(rows) else rows


def _fitting(leading: Mapping[Subnet, float], seconds: float) -> tuple[list[Subnet], float]:
    """Returns those of the networks that there is time for, and the most time they should take."""
    each = [max(LEAST_SECONDS, CALLS * ms / 1e3) for ms in leading.values()]
    needed = FIRST_SECONDS + np.cumsum(each)
    count = int(np.searchsorted(needed, seconds, side="right"))
    return list(leading)[:count], min(seconds, 2 * float(needed[count - 1])) if count else 0.0
