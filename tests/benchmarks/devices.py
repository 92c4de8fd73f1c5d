"""Do devices, runtimes and precisions disagree about which networks are fast?

    python tests/benchmarks/devices.py

takes every pair of committed tables of one space and tells, of the networks that both have
measured, the ratio of times, the rank correlation and how far apart on the second those are that
take the same time on the first (within 2 %), beside what noise explains; and what is lost on the
second by choosing with the first: of networks with the most multiply-accumulates within each of 17
latencies, by how much the fastest network with no fewer is faster, both as the second table
predicts. Adds a row a pair to results/devices.jsonl and prints means over what the pairs have in
common, and ratios of tables that differ in one thing.
"""

import argparse
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import add_row, open_results
from scipy.stats import norm, spearmanr

from hwsearch.latency.predictor import Predictor
from hwsearch.latency.table import FOLDER, Table
from hwsearch.progress import say
from hwsearch.spaces import get_space

EQUAL = 0.02
QUANTILES = np.linspace(0.1, 0.9, 17)
FIELDS = ("device", "runtime", "precision")


def pairs(tables: list[Table]) -> Iterator[tuple[Table, Table]]:
    """Yields every pair of tables of one space, in both orders."""
    for one, other in permutations(tables, 2):
        if one.space == other.space:
            yield one, other


def compared(one: Table, other: Table) -> dict[str, Any]:
    """Tells how the second table sees what the first calls equal, or best."""
    rows = [{row.key: row for row in table.rows if row.kind == "network"} for table in (one, other)]
    keys = sorted(rows[0].keys() & rows[1].keys())
    first, second = (np.array([known[key].latency_ms for key in keys]) for known in rows)
    errors = [[known[key].stderr_rel for key in keys] for known in rows]
    apart, by_noise = apart_where_equal(first, second, np.hypot(*np.array(errors)))
    lost = lost_by_choosing(one, other)
    return {
        "space": one.space,
        **{f"first {name}": getattr(one.header, name) for name in FIELDS},
        **{f"second {name}": getattr(other.header, name) for name in FIELDS},
        "networks": len(keys),
        "second over first": [round(float(x), 3) for x in spread(second / first)],
        "spearman": round(float(spearmanr(first, second).statistic), 4),
        "equal pairs": len(apart),
        "apart median": round(float(np.median(apart)), 4),
        "apart p90": round(float(np.quantile(apart, 0.9)), 4),
        "apart by noise": round(by_noise, 4),
        "lost mean": round(float(lost.mean()), 4),
        "lost most": round(float(lost.max()), 4),
    }


def spread(ratios_N: np.ndarray) -> tuple[float, float, float]:
    """Returns the least, the geometric mean and the greatest."""
    return ratios_N.min(), np.exp(np.log(ratios_N).mean()), ratios_N.max()


def apart_where_equal(
    first_N: np.ndarray, second_N: np.ndarray, errors_N: np.ndarray
) -> tuple[np.ndarray, float]:
    """Tells how networks differ in the second table that are equal in the first.

    Args:
        first_N: Milliseconds in the first table.
        second_N: In the second.
        errors_N: Standard errors of their ratio.

    Returns:
        Each pair's factor less 1, and its median if nothing but noise made a difference.
    """
    i, j = np.triu_indices(len(first_N), 1)
    equal = np.abs(np.log(first_N[i] / first_N[j])) <= EQUAL
    apart = np.expm1(np.abs(np.log(second_N[i] / second_N[j])))[equal]
    return apart, float(norm.ppf(0.75) * np.median(np.hypot(errors_N[i], errors_N[j])[equal]))


def lost_by_choosing(one: Table, other: Table) -> np.ndarray:
    """Returns time over the least, less 1, of what the first table chooses, in the second."""
    space = get_space(one.space)
    macs = space.macs(space.pool(np.random.default_rng(0)))
    first, second = predicted_ms(one.path), predicted_ms(other.path)
    lost = []
    for limit in np.quantile(first, QUANTILES):
        chosen = int(np.argmax(np.where(first <= limit, macs, -1)))
        lost.append(second[chosen] / second[macs >= macs[chosen]].min() - 1)
    return np.array(lost)


@cache
def predicted_ms(path: Path) -> np.ndarray:
    """Predicts networks of all sizes from a table, float[N]."""
    table = Table.read(path)
    space = get_space(table.space)
    return Predictor.fit(table, space).mean_ms(space.pool(np.random.default_rng(0)))


def main() -> None:
    """Compares every pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tables", type=Path, default=Path(FOLDER), help="folder of tables")
    arguments = parser.parse_args()
    tables = list(map(Table.read, sorted(arguments.tables.glob("*/*.jsonl"))))
    with open_results("devices") as journal:
        found = []
        for one, other in pairs(tables):
            row = compared(one, other)
            add_row(journal, row)
            found.append(row)
    rows = pd.DataFrame(found)
    for name in FIELDS:
        rows[name] = np.where(rows[f"first {name}"] == rows[f"second {name}"], "same", "another")
    figures = ["spearman", "apart median", "apart p90", "apart by noise", "lost mean", "lost most"]
    groups = rows.groupby(["space", *FIELDS])[figures]
    say(groups.mean().join(groups.size().rename("pairs")).round(3).to_string())
    for row in found:
        one, other = ([row[f"{side} {name}"] for name in FIELDS] for side in ("first", "second"))
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
            least, mean, most = row["second over first"]
            said = f"{row['space']}: {' '.join(other)} takes {mean:.2f} times {' '.join(one)}"
            say(f"{said} ({least:.2f} to {most:.2f}, {row['networks']} networks)")


if __name__ == "__main__":
    main()
