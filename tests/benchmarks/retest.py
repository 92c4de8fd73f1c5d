"""Does a latency table repeat: the same networks and blocks, profiled twice by two processes.

    python tests/benchmarks/retest.py --minutes 0.5

profiles a space twice from scratch, with the same engines, alone on the machine and beside other
work: a process that multiplies matrices on the core next to the measured one, the same process
wherever the system puts it, and as many of them as there are cores. Adds a row a runtime and
condition to results/retest.jsonl: how far two independent estimates of a latency differ, rows that
the table marks (flags) apart from the others, and whether measuring kept to its budget.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from neighbours import Cores, busy, places
from rows import add_row, open_results

from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile

RUNS = 2

GOAL = 0.015
"""Mean difference that is allowed on a quiet machine."""

Pairs = list[tuple[Row, Row]]
"""What both tables say of the same network or block."""


def retest(options: ProfileOptions, neighbours: Sequence[Cores]) -> dict[str, Any]:
    """Profiles several times from scratch and compares the tables."""
    tables = []
    for _ in range(RUNS):
        with busy(neighbours):
            tables.append(Table.read(profile(options)))
    first, second = tables
    figures = {
        "table": first.name,
        "runs": [kept_budget(table, 60 * options.budget_minutes) for table in tables],
    }
    return figures | {f"{kind}s": compare(first, second, kind) for kind in ("network", "block")}


def kept_budget(table: Table, budget_seconds: float) -> dict[str, Any]:
    """Says how one run ended."""
    header = table.header
    return {
        "measure_seconds": header.measure_seconds,
        "within_budget": header.measure_seconds <= budget_seconds,
        "ended": header.ended,
        "visits": header.visits,
        "nominal_ms": [round(reference.nominal_ms, 4) for reference in header.references],
    }


def compare(first: Table, second: Table, kind: str) -> dict[str, Any]:
    """Compares the rows of a kind that both tables have, marked in either apart from the rest."""
    pairs = [
        (row, other)
        for row in first.rows
        for other in second.rows
        if row.kind == other.kind == kind and row.key == other.key
    ]
    return {
        "all": differences(pairs),
        "unmarked": differences([pair for pair in pairs if not flags(pair)]),
        "marked": differences([pair for pair in pairs if flags(pair)]),
        "flags": sorted({flag for pair in pairs for flag in flags(pair)}),
        "common_shift": round(float(np.median([ratio(pair) for pair in pairs])) - 1, 4),
    }


def flags(pair: tuple[Row, Row]) -> set[str]:
    """Returns what marks either estimate."""
    return {*pair[0].flags, *pair[1].flags}


def ratio(pair: tuple[Row, Row]) -> float:
    """Returns the second estimate over the first."""
    return pair[1].latency_ms / pair[0].latency_ms


def differences(pairs: Pairs) -> dict[str, Any]:
    """Returns how far pairs of estimates differ, relative to the first."""
    if not pairs:
        return {"n": 0}
    errors = np.abs(np.array([ratio(pair) for pair in pairs]) - 1)
    return {
        "n": len(pairs),
        "mean": round(float(errors.mean()), 5),
        "median": round(float(np.median(errors)), 5),
        "worst": round(float(errors.max()), 5),
        "within_5": round(float((errors <= 0.05).mean()), 4),
    }


def main() -> None:
    """Profiles every runtime under every condition; one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument(
        "--conditions", nargs="+", choices=places(1), default=["quiet", "neighbour", "floating"]
    )
    parser.add_argument("--evidence", type=int, default=16)
    parser.add_argument("--heldout", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=0.5, help="budget of one run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="add no rows")
    arguments = parser.parse_args()
    known = places(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        for runtime in arguments.runtimes:
            options = ProfileOptions(
                space=arguments.space,
                runtime=runtime,
                threads=arguments.threads,
                evidence=arguments.evidence,
                heldout=arguments.heldout,
                budget_minutes=arguments.minutes,
                out=Path(folder),
                fresh=True,
            )
            for name in arguments.conditions:
                row = {"condition": name, "minutes": arguments.minutes}
                row |= retest(options, known[name])
                row["within_goal"] = row["networks"]["all"]["mean"] <= GOAL
                print(json.dumps(row), flush=True)
                if not arguments.dry:
                    with open_results("retest") as journal:
                        add_row(journal, row)


if __name__ == "__main__":
    main()
