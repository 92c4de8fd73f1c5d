"""Search: evaluate networks, journal them, and write the front of every table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table as Grid

from hwsearch.config import write_config
from hwsearch.journal import Journal
from hwsearch.latency.predictor import Predictor
from hwsearch.progress import console, track
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.front import FILE as FRONT_FILE
from hwsearch.search.front import FrontPoint, find_front, write_front
from hwsearch.search.inputs import CONFIG, SearchInputs, SearchOptions, open_inputs
from hwsearch.search.objectives import RememberedDistance
from hwsearch.search.pareto import hypervolume
from hwsearch.search.searcher import pareto_search

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
    out, space = inputs.options.out, inputs.run.space
    tables = zip(inputs.labels, inputs.tables, strict=True)
    predictors = {label: Predictor.fit(table, space) for label, table in tables}
    with Journal.open(out / FILE, KIND, inputs.header()) as journal:
        if journal.repaired:
            console.print(journal.repaired, markup=False)
        write_config(out / CONFIG, inputs.options, ("torch", "numpy", "pymoo", "moocore"))
        _evaluate(inputs, journal, predictors)
    evaluations = Evaluations.read(out)
    fronts = [find_front(evaluations, label, predictors[label]) for label in inputs.labels]
    write_front([point for front in fronts for point in front], out)
    for front in fronts:
        console.print(_grid(evaluations, front))
    console.print(f"All of it: {out / FRONT_FILE}", markup=False)
    return out


def _evaluate(inputs: SearchInputs, journal: Journal, predictors: Mapping[str, Predictor]) -> None:
    options, space = inputs.options, inputs.run.space
    latencies = {label: predictor.mean_ms for label, predictor in predictors.items()}
    total, done = min(options.evaluations, space.size), len(journal.rows)
    with track("search", max(total, done), start=done) as advance:
        distance = RememberedDistance(space, journal, inputs.distance(), latencies, advance)
        pareto_search(
            space,
            distance,
            list(latencies.values()),
            evaluations=options.evaluations,
            population=options.population,
            seed=options.seed,
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
