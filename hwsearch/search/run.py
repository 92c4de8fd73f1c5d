"""Search: evaluate networks, journal them, and write the front of every table."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table as Grid

from hwsearch.config import write_config
from hwsearch.distance import CatalogueStudents
from hwsearch.journal import Journal
from hwsearch.progress import console, track
from hwsearch.search.confirm import confirm
from hwsearch.search.confirmed import confirmed_devices, told, with_latencies
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.fleet import Fleet, find_fleet, write_fleet
from hwsearch.search.front import FILE as FRONT_FILE
from hwsearch.search.front import FrontPoint, cost_against, find_front, write_front
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.limits import DeviceLimits, most_distance
from hwsearch.search.objectives import RememberedDistance
from hwsearch.search.options import CONFIG, SearchOptions
from hwsearch.search.pareto import hypervolume
from hwsearch.search.scoring import open_score
from hwsearch.search.searcher import pareto_search
from hwsearch.search.stop import ending_on_sigterm
from hwsearch.search.warm import Warm, journal_known, read_warm
from hwsearch.spaces.catalogue import Catalogue

SHOWN = 12
"""Most rows of a front that are printed; front.csv has them all."""


@ending_on_sigterm()
def search(options: SearchOptions) -> Path:
    """Finds, for every table, the networks that trade distance for latency best, and one for all.

    Every evaluation is journaled; a search that was killed goes on without repeating one
    and ends with the same evaluations and front.

    Returns:
        The folder, with config.toml, evaluations.jsonl and front.csv, and fleet.csv where there are
        several tables.

    Raises:
        HwsearchError: If an input is missing or does not fit, no network keeps the limits, or the
            folder holds a search with other inputs.
    """
    inputs = open_inputs(options)
    out, against = inputs.options.out, inputs.options.against
    devices = inputs.devices()
    _tell_random_weights(inputs)
    header = inputs.header()
    warm = read_warm(inputs.options.warm, header)
    with Journal.open(out / FILE, KIND, header) as journal:
        if journal.repaired:
            console.print(journal.repaired, markup=False)
        write_config(out / CONFIG, inputs.options, ("torch", "numpy", "pymoo", "moocore"))
        _evaluate(inputs, journal, devices, warm)
    alone, most = Evaluations.read(out), most_distance(inputs.limits)
    if inputs.options.confirm:
        confirm(inputs, alone, devices)
    devices = confirmed_devices(out, devices, inputs.tables)
    evaluations = with_latencies(alone, devices)
    fronts = [
        told(find_front(evaluations, one, against=against, most_distance=most), alone, one)
        for one in devices
    ]
    write_front([point for front in fronts for point in front], out)
    for device, front in zip(devices, fronts, strict=True):
        console.print(_grid(evaluations, device, front))
    if len(devices) > 1:
        fleet = find_fleet(evaluations, devices, fronts, against=against)
        write_fleet(fleet, out)
        console.print(_fleet_words(fleet), markup=False)
    console.print(f"All of it: {out / FRONT_FILE}", markup=False)
    return out


def _tell_random_weights(inputs: SearchInputs) -> None:
    """Names models that were never trained; a catalogue is free to hold some."""
    space, teacher = inputs.space, inputs.teacher
    models = list(space.models.values()) if isinstance(space, Catalogue) else []
    if isinstance(teacher.students, CatalogueStudents):
        models.append(teacher.students.space.model(teacher.subnet))
    if names := sorted({model.name for model in models if model.weights == "random"}):
        console.print(
            f"Random weights, so distances mean nothing: {', '.join(names)}", markup=False
        )


def _evaluate(
    inputs: SearchInputs, journal: Journal, devices: Sequence[DeviceLimits], warm: Warm
) -> None:
    options, space = inputs.options, inputs.space
    most = space.size if isinstance(space, Catalogue) else options.evaluations
    latencies = {device.costs.label: device.costs.of("latency_ms") for device in devices}
    known = 0 if warm.known is None else len(warm.known.codes)
    if warm.known is not None:
        journal_known(journal, space, warm.known, latencies)
        console.print(f"{known} evaluations of an earlier search are taken over")
    total, done = min(most + known, space.size), len(journal.rows)
    with (
        track("search", max(total, done), start=done) as advance,
        open_score(inputs) as score,
        RememberedDistance(space, journal, score, latencies, advance) as distance,
    ):
        codes, gain = pareto_search(
            space,
            distance,
            [device.costs.of(options.against) for device in devices],
            evaluations=most,
            batch=options.batch,
            stop_gain=options.stop_gain,
            seed=options.seed,
            excess=[device.excess for device in devices] if inputs.limits else (),
            most_distance=most_distance(inputs.limits),
            known=None if warm.known is None else warm.known.codes,
            earlier=warm.earlier,
        )
    why = "no other network is left" if not gain else f"{len(codes)} networks evaluated"
    if 0 < gain < options.stop_gain:
        why += f" of at most {total}: more would find little"
    console.print(f"{why}; {options.batch} more are expected to add {gain:.2%} to the fronts")


def _fleet_words(fleet: Fleet | None) -> str:
    if fleet is None:
        return "No evaluated network is within the budget of every table, so there is none for all"
    first, worst = fleet.points[0], int(np.argmax(fleet.regret))
    each = ", ".join(f"{point.latency_ms:.3f} ms on {point.table}" for point in fleet.points)
    return (
        f"One network for all: {first.subnet}, distance {first.distance:.4f}, {each}; at worst "
        f"{fleet.regret[worst]:.4f} farther than the best on {fleet.points[worst].table}"
    )


_COLUMNS: dict[str, Callable[[FrontPoint], str]] = {
    "weights_mb": lambda point: f"{point.weight_bytes / 1e6:.3g}",
    "peak_memory_mb": lambda point: f"{point.activation_bytes / 1e6:.3g}",
    "energy_mj": lambda point: f"{point.energy_mj:.3g}",
}
"""What is printed beside the latency if the front is drawn against it."""


def _grid(evaluations: Evaluations, device: DeviceLimits, front: Sequence[FrontPoint]) -> Grid:
    dims, against = evaluations.space.dims, evaluations.against
    cost = cost_against(evaluations, device.costs, against)
    grid = Grid(
        title=f"{device.costs.label}: {len(front)} of {len(cost)} networks on the front, "
        f"hypervolume {hypervolume(cost, evaluations.distance):.3f}",
        caption=f"values: {', '.join(dim.name for dim in dims)}",
        title_justify="left",
        caption_justify="left",
    )
    extra = [against] if against in _COLUMNS else []
    for name in ("index", *extra, "ms", "90 % interval", "distance", "M MACs", "M params"):
        grid.add_column(name, justify="right")
    grid.add_column("")
    grid.add_column("values")
    for point in _shown(front):
        grid.add_row(
            str(point.index),
            *(_COLUMNS[name](point) for name in extra),
            f"{point.latency_ms:.3f}",
            f"{point.low_ms:.3f} to {point.high_ms:.3f}",
            f"{point.distance:.4f}",
            f"{point.macs / 1e6:.1f}",
            f"{point.params / 1e6:.2f}",
            "knee" if point.knee else "",
            " ".join(str(value) for _, value in point.subnet.values),
            style="bold" if point.knee else None,
        )
    return grid


def _shown(front: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Keeps the ends, the knee and points spread evenly between."""
    step = max(1, (len(front) - 1) / (SHOWN - 2))
    kept = {round(step * number) for number in range(SHOWN - 1)}
    return [point for point in front if point.index in kept or point.knee]
