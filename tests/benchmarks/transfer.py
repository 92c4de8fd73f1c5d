"""What a table of few networks gains by starting from an earlier one: of a device or a runtime.

    python tests/benchmarks/transfer.py

takes, for each pair of committed tables of one space, be they of other devices, runtimes or
precisions, 10, 20 and 30 of the second's evidence networks and none of its blocks, and predicts its
held-out networks: from nothing, from the first table alone, and from the first table corrected by
them. Adds a row a pair and number to results/transfer.jsonl.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

from hwsearch.latency.accuracy import predict_rows, score
from hwsearch.latency.predictor import MIN_NETWORKS_ALONE, Predictor, subnet_of
from hwsearch.latency.rows import Row
from hwsearch.latency.table import FOLDER, Table
from hwsearch.latency.transfer import fit_transfer
from hwsearch.progress import say
from hwsearch.space import Space
from hwsearch.spaces import get_space

NUMBERS = (10, 20, 30)
KEPT = ("mean_error", "within_5", "within_10", "coverage")


def few(table: Table, space: Space, count: int) -> Table:
    """Keeps some evidence networks, evenly over the multiply-accumulates, and no blocks."""
    rows = table.networks("evidence")
    codes = np.stack([space.encode(subnet_of(row, space)) for row in rows])
    order = np.argsort(space.macs(codes), kind="stable")
    places = np.linspace(0, len(rows) - 1, count).round().astype(int)
    return replace(table, rows=tuple(rows[order[i]] for i in places) + table.networks("heldout"))


def compared(start: Table, table: Table, count: int) -> dict[str, Any]:
    """Predicts held-out networks in three ways."""
    space, rows = get_space(table.space), table.networks("heldout")
    known, source = few(table, space, count), Predictor.fit(start, space)
    ways = {"start alone": source, "from the start": fit_transfer(known, space, start)}
    if count >= MIN_NETWORKS_ALONE:
        ways["from nothing"] = Predictor.fit(known, space)
    return {
        "start": f"{start.device}/{start.name}",
        "table": f"{table.device}/{table.name}",
        "networks": count,
        "heldout": len(rows),
        "scores": {name: _scored(fitted, rows, space) for name, fitted in ways.items()},
    }


def _scored(fitted: Predictor, rows: tuple[Row, ...], space: Space) -> dict[str, float]:
    found = predict_rows(fitted, rows, space)
    scores = asdict(score("", found.mean_ms, np.array([row.latency_ms for row in rows]), found))
    return {name: round(scores[name], 4) for name in KEPT}


def pairs(tables: list[Table]) -> Iterator[tuple[Table, Table]]:
    """Yields every pair of tables of one space."""
    for start, table in permutations(tables, 2):
        if start.space == table.space:
            yield start, table


def other_than(start: Table, table: Table) -> str:
    """Tells in what the start differs."""
    one, other = start.header, table.header
    fields = ("device", "runtime", "precision")
    return "another " + ", ".join(f for f in fields if getattr(one, f) != getattr(other, f))


def main() -> None:
    """Compares every pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path(FOLDER), help="folder of tables")
    arguments = parser.parse_args()
    read = map(Table.read, sorted(arguments.tables.glob("*/*.jsonl")))
    tables = [table for table in read if table.blocks and table.networks("heldout")]
    errors: dict[tuple[str, int, str], list[float]] = {}
    with open_results("transfer") as journal:
        for start, table in pairs(tables):
            for count in NUMBERS:
                row = compared(start, table, count)
                add_row(journal, row)
                for name, found in row["scores"].items():
                    key = (other_than(start, table), count, name)
                    errors.setdefault(key, []).append(found["mean_error"])
    for (other, count, name), found in sorted(errors.items()):
        say(f"{other}, {count} networks, {name}: mean error {np.mean(found):.1%}, n={len(found)}")


if __name__ == "__main__":
    main()
