"""Search: evaluate networks, journal them, and write the front of every table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwsearch.config import check_config, write_config
from hwsearch.distance import CatalogueStudents, Distance, SupernetStudents
from hwsearch.journal import Journal
from hwsearch.progress import console, track
from hwsearch.search.aims import Aim, OneDevice, by_device
from hwsearch.search.confirm import confirm
from hwsearch.search.confirmed import confirmed_devices, told, with_latencies
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.fleet import Fleet, find_fleet, write_fleet
from hwsearch.search.front import FILE as FRONT_FILE
from hwsearch.search.front import FrontPoint, find_front, write_front
from hwsearch.search.inputs import SearchInputs, no_mean_over_images, with_teacher
from hwsearch.search.joint import FILE as JOINT_FILE
from hwsearch.search.joint import joint_fronts, with_networks, write_joint
from hwsearch.search.limits import DeviceLimits, most_distance
from hwsearch.search.networks import SearchedNetworks, open_networks
from hwsearch.search.objectives import EarlyStop, Objective, RememberedDistance
from hwsearch.search.options import CONFIG, SearchOptions
from hwsearch.search.pareto_search import pareto_search
from hwsearch.search.scoring import open_score
from hwsearch.search.shown import joint_grid, table_grid
from hwsearch.search.stop import ending_on_sigterm
from hwsearch.search.warm import Warm, journal_known, read_warm, require_searches
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import PrecisionSpace


@ending_on_sigterm()
def search(options: SearchOptions) -> Path:
    """Finds, for every table, the networks that trade distance for latency best, and one for all.

    Where tables are of other precisions than fp32, a network counts as it computes in each.

    Every evaluation is journaled; a search that was killed goes on without repeating one
    and ends with the same evaluations and front.

    Returns:
        The folder, with config.toml, evaluations.jsonl and front.csv, and fleet.csv where there are
        several tables.

    Raises:
        HwsearchError: If an input is missing or does not fit, no network keeps the limits, or the
            folder holds a search with other inputs or the config file of another command.
    """
    check_config(options.out / CONFIG, options)
    networks = open_networks(options)
    devices = networks.devices()
    aims = _aims(networks, devices)
    require_searches(networks.options.warm, networks.space)
    inputs = with_teacher(networks)  # what can be refused has been: looking for it takes time
    header = inputs.header()
    warm = read_warm(inputs.options.warm, header)
    early_stop = _early_stop(inputs, devices)
    _tell_images(inputs)
    _tell_random_weights(inputs)
    with Journal.open(inputs.options.out / FILE, KIND, header) as journal:
        if journal.repaired:
            console.print(journal.repaired, markup=False)
        versions = ("torch", "numpy", "pymoo", "moocore")
        write_config(inputs.options.out / CONFIG, inputs.options, versions)
        _evaluate(inputs, journal, devices, aims, warm, early_stop=early_stop)
    _give_fronts(inputs, devices)
    shown = JOINT_FILE if inputs.options.joint else FRONT_FILE
    console.print(f"All of it: {inputs.options.out / shown}", markup=False)
    return inputs.options.out


def _give_fronts(inputs: SearchInputs, devices: list[DeviceLimits]) -> None:
    """Measures what is to be confirmed; then writes and prints all fronts."""
    out, against, joint = inputs.options.out, inputs.options.against, inputs.options.joint
    alone, most = Evaluations.read(out), most_distance(inputs.limits)
    if inputs.options.confirm:
        confirm(inputs, alone, devices)
    devices = confirmed_devices(out, devices, inputs.tables)
    evaluations = with_latencies(alone, devices)
    if joint:
        devices = with_networks(evaluations, devices, most) or devices
    fronts = [
        told(find_front(evaluations, one, against=against, most_distance=most), alone, one)
        for one in devices
    ]
    write_front([point for front in fronts for point in front], out)
    if joint:
        _give_joint(fronts, against, out)
        return
    for device, front in zip(devices, fronts, strict=True):
        console.print(table_grid(evaluations, device, front))
    if len(devices) > 1:
        fleet = find_fleet(evaluations.whole(), devices, fronts, against=against)
        write_fleet(fleet, out)
        console.print(_fleet_words(fleet), markup=False)


def _give_joint(fronts: Sequence[Sequence[FrontPoint]], against: Sequence[str], out: Path) -> None:
    joint = joint_fronts(fronts, against)
    write_joint(joint, out)
    for name, front in joint.items():
        console.print(joint_grid(name, front, against))


def _aims(networks: SearchedNetworks, devices: Sequence[DeviceLimits]) -> list[Aim]:
    """Returns what to enlarge for each table, or for each device over all its tables."""
    against = networks.options.against
    choices = [OneDevice((table,), against) for table in devices]
    if networks.options.joint:
        choices = by_device(devices, against)
    return [aim for one in choices for aim in one.aims(networks.space)]


def _tell_images(inputs: SearchInputs) -> None:
    """Says how many images each network is judged and calibrated on: that is what it costs."""
    students = inputs.students
    said = f"Distance '{inputs.distance_name}' on {len(students.images)} images"
    if isinstance(students, SupernetStudents):
        said += f", batch norms of each network calibrated on {students.calibration_images}"
    console.print(said, markup=False)


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


def _alone(objective: Objective) -> Objective:
    """Asks for networks one by one.

    In a product of matrices the last digit of a row depends on the others, and what is journaled
    of a network must not depend on the batch that it came in.
    """
    return lambda codes: np.array([objective(code[None])[0] for code in codes])


def _evaluate(
    inputs: SearchInputs,
    journal: Journal,
    devices: Sequence[DeviceLimits],
    aims: Sequence[Aim],
    warm: Warm,
    *,
    early_stop: EarlyStop | None,
) -> None:
    options, space = inputs.options, inputs.space
    most = space.size if isinstance(space, Catalogue) else options.evaluations
    latencies = {device.costs.label: _alone(device.costs.of("latency_ms")) for device in devices}
    known = 0 if warm.known is None else len(warm.known.codes)
    if warm.known is not None:
        journal_known(journal, space, warm.known, latencies)
        console.print(f"{known} evaluations of an earlier search are taken over")
    total, done = min(most + known, space.size), len(journal.rows)
    limited = bool(inputs.limits) or isinstance(space, PrecisionSpace)
    with (
        track("search", max(total, done), start=done) as advance,
        open_score(inputs) as score,
        RememberedDistance(
            space, journal, score, latencies, advance, early_stop=early_stop
        ) as distance,
    ):
        codes, gain = pareto_search(
            space,
            distance,
            [cost for cost, _ in aims],
            evaluations=most,
            batch=options.batch,
            stop_gain=options.stop_gain,
            seed=options.seed,
            excess=[excess for _, excess in aims] if limited else (),
            most_distance=most_distance(inputs.limits),
            first=_teacher_code(inputs),
            known=None if warm.known is None else warm.known.codes,
            earlier=warm.earlier,
        )
    why = "no other network is left" if not gain else f"{len(codes)} networks evaluated"
    if 0 < gain < options.stop_gain:
        why += f" of at most {total}: more would find little"
    console.print(f"{why}; {options.batch} more are expected to add {gain:.2%} to the fronts")


def _teacher_code(inputs: SearchInputs) -> np.ndarray | None:
    """Returns the code [1, D] of the teacher where it is one of the networks that are searched."""
    if inputs.teacher.students is not inputs.students:
        return None
    return inputs.space.encode(inputs.teacher.subnet)[None]


def _early_stop(inputs: SearchInputs, devices: Sequence[DeviceLimits]) -> EarlyStop | None:
    if not inputs.options.early_stop:
        return None
    judge = inputs.distance()
    if isinstance(judge, Distance) and judge.by_image:
        return EarlyStop(judge.estimate, {one.costs.label: one.excess for one in devices})
    raise no_mean_over_images(inputs.kind)


def _fleet_words(fleet: Fleet | None) -> str:
    if fleet is None:
        return "No evaluated network is within the budget of every table, so there is none for all"
    first, worst = fleet.points[0], int(np.argmax(fleet.regret))
    each = ", ".join(f"{point.latency_ms:.3f} ms on {point.table}" for point in fleet.points)
    return (
        f"One network for all: {first.subnet}, distance {first.distance:.4f}, {each}; at worst "
        f"{fleet.regret[worst]:.4f} farther than the best on {fleet.points[worst].table}"
    )
