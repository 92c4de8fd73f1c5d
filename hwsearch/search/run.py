"""Search: evaluate networks, journal them, and write the front of every table."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.table import Table as Grid

from hwsearch.config import write_config
from hwsearch.distance import CatalogueStudents, Distance, Estimate, Judge, SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import LatencyModel
from hwsearch.progress import console, track
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.front import FILE as FRONT_FILE
from hwsearch.search.front import FrontPoint, find_front, write_front
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.objectives import RememberedDistance
from hwsearch.search.options import CONFIG, SearchOptions
from hwsearch.search.pareto import hypervolume
from hwsearch.search.searcher import pareto_search
from hwsearch.space import Subnet
from hwsearch.spaces.catalogue import Catalogue

SHOWN = 12
"""Most rows of a front that are printed; front.csv has them all."""


def search(options: SearchOptions) -> Path:
    """Finds, for every table, the networks that trade distance for latency best.

    Every evaluation is journaled; a search that was killed goes on without repeating one
    and ends with the same evaluations and front.

    Returns:
        The folder, with config.toml, evaluations.jsonl and front.csv.

    Raises:
        HwsearchError: If an input is missing or does not fit, or the folder holds a search
            with other inputs.
    """
    inputs = open_inputs(options)
    out, space = inputs.options.out, inputs.space
    tables = zip(inputs.labels, inputs.tables, strict=True)
    models = {label: fit_latency(table, space) for label, table in tables}
    _tell_images(inputs)
    _tell_random_weights(inputs)
    with Journal.open(out / FILE, KIND, inputs.header()) as journal:
        if journal.repaired:
            console.print(journal.repaired, markup=False)
        write_config(out / CONFIG, inputs.options, ("torch", "numpy", "pymoo", "moocore"))
        _evaluate(inputs, journal, models)
    evaluations = Evaluations.read(out)
    fronts = [find_front(evaluations, label, models[label]) for label in inputs.labels]
    write_front([point for front in fronts for point in front], out)
    for front in fronts:
        console.print(_grid(evaluations, front))
    console.print(f"All of it: {out / FRONT_FILE}", markup=False)
    return out


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


def _evaluate(inputs: SearchInputs, journal: Journal, models: Mapping[str, LatencyModel]) -> None:
    options, space = inputs.options, inputs.space
    most = space.size if isinstance(space, Catalogue) else options.evaluations
    total, done = min(most, space.size), len(journal.rows)
    latencies = {label: model.mean_ms for label, model in models.items()}
    with track("search", max(total, done), start=done) as advance:
        judge = inputs.distance()
        distance = RememberedDistance(
            space, journal, judge, latencies, advance, early_stop=_early_stop(inputs, judge)
        )
        pareto_search(
            space,
            distance,
            list(latencies.values()),
            evaluations=most,
            population=options.population,
            seed=options.seed,
        )


def _early_stop(inputs: SearchInputs, judge: Judge) -> Callable[[Subnet, float], Estimate] | None:
    if not inputs.options.early_stop:
        return None
    if isinstance(judge, Distance) and judge.by_image:
        return judge.estimate
    raise HwsearchError(
        f"--early-stop does not work with --distance {inputs.kind}, which is no mean over images",
        fix="Leave it out, or use --distance dense or a projection head without batch norms",
    )


def _grid(evaluations: Evaluations, front: Sequence[FrontPoint]) -> Grid:
    table, dims = front[0].table, evaluations.space.dims
    volume = hypervolume(evaluations.latencies(table), evaluations.distance)
    grid = Grid(
        title=f"{table}: {len(front)} of {len(evaluations.codes)} networks on the front, "
        f"hypervolume {volume:.3f}",
        caption=f"values: {', '.join(dim.name for dim in dims)}",
        title_justify="left",
        caption_justify="left",
    )
    for name in ("index", "ms", "90 % interval", "distance", "M MACs", "M params"):
        grid.add_column(name, justify="right")
    grid.add_column("")
    grid.add_column("values")
    for point in _shown(front):
        grid.add_row(
            str(point.index),
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
