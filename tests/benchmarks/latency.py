"""Is predicted latency what is measured: held-out networks of every table, beside simpler ways.

    hwsearch profile --space S --runtime R --precision P --threads 1 --budget-minutes 10 --out T
    python tests/benchmarks/latency.py --tables T

The first command measures a table; the committed ones are judged without --tables. The second
predicts the held-out networks of each, which the predictor has not seen, and adds rows to
results/latency.jsonl: one a table, and one over all with intervals by bootstrap over networks.
Beside hwsearch's predictor stand simpler ones on the same rows, and its own variants: without
blocks, with a third of the evidence, and with a third that a greedy D-optimal design chose.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as Grid
from rivals import RIVALS, measured_ms
from rows import add_row, open_results

from hwsearch.latency.accuracy import predict_rows, score
from hwsearch.latency.features import NetworkFeatures
from hwsearch.latency.gaussian import GaussianProcess
from hwsearch.latency.lookup import Prediction
from hwsearch.latency.predictor import Predictor, subnet_of
from hwsearch.latency.rows import Row
from hwsearch.latency.table import FOLDER, Table
from hwsearch.progress import console, track
from hwsearch.space import Space
from hwsearch.spaces import get_space

OURS = "hwsearch"
DRAWS = 2000


def without(table: Table, kept: Sequence[Row], *, blocks: bool = True) -> Table:
    """Returns a table with less evidence."""
    rows = [row for row in table.rows if row.split != "evidence"]
    return replace(table, rows=(*kept, *(row for row in rows if blocks or row.kind != "block")))


def third(table: Table, space: Space) -> tuple[Row, ...]:
    """Every third evidence network by size: what a third of the budget would have measured."""
    rows = table.networks("evidence")
    order = np.argsort(space.macs(np.stack([_code(row, space) for row in rows])), kind="stable")
    return tuple(rows[i] for i in order[1::3])


def designed_third(table: Table, space: Space) -> tuple[Row, ...]:
    """A third of the evidence that tells most: each time the network least certain by then."""
    rows = table.networks("evidence")
    features = Predictor.fit(table, space).features
    assert isinstance(features, NetworkFeatures)
    inputs = features.of_codes(np.stack([_code(row, space) for row in rows]))[1]
    chosen = [int(np.argmax((inputs**2).sum(1)))]
    while len(chosen) < len(rows) // 3:
        known = inputs[chosen]
        process = GaussianProcess.fit(known, np.zeros(len(known)), np.full(len(known), 0.003))
        deviation = process.mean_and_deviation(inputs)[1]
        deviation[chosen] = 0
        chosen.append(int(np.argmax(deviation)))
    return tuple(rows[i] for i in chosen)


def _code(row: Row, space: Space) -> np.ndarray:
    return space.encode(subnet_of(row, space))


def predictions(table: Table) -> dict[str, np.ndarray | Prediction]:
    """Predicts the held-out networks of a table in every way."""
    space, rows = get_space(table.space), table.networks("heldout")

    def ours(some: Table) -> Prediction:
        return predict_rows(Predictor.fit(some, space), rows, space)

    whole = table.networks("evidence")
    return {
        OURS: ours(table),
        "without blocks": ours(without(table, whole, blocks=False)),
        "a third of the evidence": ours(without(table, third(table, space))),
        "a third by D-optimal design": ours(without(table, designed_third(table, space))),
        **{name: rival(table, space, rows) for name, rival in RIVALS.items()},
    }


def judged(name: str, found: np.ndarray | Prediction, ms: np.ndarray) -> dict[str, Any]:
    """Scores one way of predicting."""
    if isinstance(found, Prediction):
        return asdict(score(name, found.mean_ms, ms, found))
    return asdict(score(name, found, ms))


def pooled(tables: Sequence[tuple[np.ndarray, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Scores each way over the networks of all tables, with 95 % bootstrap intervals."""
    ms, rng, rows = np.concatenate([ms for ms, _ in tables]), np.random.default_rng(0), []
    for name in tables[0][1]:
        found = [ways[name] for _, ways in tables]
        if isinstance(found[0], Prediction):
            whole = Prediction(*(np.concatenate(column) for column in zip(*found, strict=True)))
        else:
            whole = np.concatenate(found)
        row = judged(name, whole, ms)
        row.pop("spearman"), row.pop("kendall")
        mean_ms = whole.mean_ms if isinstance(whole, Prediction) else whole
        error = np.abs(mean_ms / ms - 1)
        drawn = error[rng.integers(len(ms), size=(DRAWS, len(ms)))]
        for figure, value in (("mean_error", drawn), ("within_5", drawn <= 0.05)):
            row[f"{figure}_interval"] = np.quantile(value.mean(1), (0.025, 0.975)).round(4).tolist()
        rows.append(row)
    return rows


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints scores."""
    grid = Grid("", "mean error", "median", "within 5 %", "10 %", "in interval", title=title)
    for row in rows:
        figures = (row["mean_error"], row["median_error"], row["within_5"], row["within_10"])
        inside = "-" if row["coverage"] is None else f"{row['coverage']:.0%}"
        grid.add_row(row["name"], *(f"{figure:.1%}" for figure in figures), inside)
    console.print(grid)


def main() -> None:
    """Judges all tables that have held-out networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path(FOLDER), help="folder of tables")
    parser.add_argument("--only", default="", help="part of the names of tables")
    arguments = parser.parse_args()
    paths = [
        path for path in sorted(arguments.tables.glob("*/*.jsonl")) if arguments.only in path.name
    ]
    tables = [table for table in map(Table.read, paths) if table.networks("heldout")]
    together: list[tuple[np.ndarray, dict[str, Any]]] = []
    with open_results("latency") as journal:
        with track("judge tables", len(tables)) as advance:
            for table in tables:
                ms, ways = measured_ms(table.networks("heldout")), predictions(table)
                together.append((ms, ways))
                add_row(journal, _row(table, [judged(*way, ms) for way in ways.items()]))
                advance(note=table.name)
        scores = pooled(together)
        add_row(journal, {"tables": [table.name for table in tables], "scores": scores})
    show(f"{sum(len(ms) for ms, _ in together)} held-out networks of {len(tables)} tables", scores)


def _row(table: Table, scores: list[dict[str, Any]]) -> dict[str, Any]:
    header, heldout = table.header, table.networks("heldout")
    show(f"{table.name}: {len(heldout)} networks", scores)
    return {
        "table": table.name,
        "measured": header.date,
        "measure_seconds": header.measure_seconds,
        "build_seconds": header.build_seconds,
        "evidence": len(table.networks("evidence")),
        "noise": float(np.median([row.stderr_rel for row in heldout])),
        "scores": scores,
    }


if __name__ == "__main__":
    main()
