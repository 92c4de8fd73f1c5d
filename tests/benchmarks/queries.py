"""How many predictions a second: means and intervals, on one core, for every committed table.

    python tests/benchmarks/queries.py

predicts networks drawn from each table's space, by code, and adds a row to results/queries.jsonl:
seconds of fitting, means and intervals a second (median of the repeats), and what a million codes
take of memory.
"""

import argparse
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results
from threadpoolctl import threadpool_limits

from hwsearch.latency.predictor import Predictor
from hwsearch.latency.table import FOLDER, Table
from hwsearch.progress import say
from hwsearch.spaces import get_space

REPEATS = 5
NETWORKS = 400_000


def rate(call: Any, codes: np.ndarray) -> int:
    """Returns predictions a second, the median of the repeats."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call(codes)
        seconds.append(time.perf_counter() - began)
    return round(len(codes) / float(np.median(seconds)))


def figures_of(table: Table) -> dict[str, Any]:
    """Fits one table and asks it for networks."""
    space, began = get_space(table.space), time.perf_counter()
    fitted = Predictor.fit(table, space)
    fit_seconds = time.perf_counter() - began
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, count, NETWORKS) for count in space.shape], axis=1)
    rates = {"means": rate(fitted.mean_ms, codes), "intervals": rate(fitted.predict, codes)}
    tracemalloc.start()
    fitted.predict(codes)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return {
        "table": table.name,
        "evidence": len(table.networks("evidence")),
        "fit_seconds": round(fit_seconds, 3),
        **{f"{name}_a_second": value for name, value in rates.items()},
        "peak_mb_for_intervals": round(peak_mb, 1),
    }


def main() -> None:
    """Measures every table that predicts networks of a space."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path(FOLDER), help="folder of tables")
    parser.add_argument("--only", default="onnxruntime-fp32", help="part of the names of tables")
    arguments = parser.parse_args()
    with threadpool_limits(1), open_results("queries") as journal:
        for path in sorted(arguments.tables.glob("*/*.jsonl")):
            if arguments.only in path.name:
                figures = figures_of(Table.read(path))
                say(str(figures))
                add_row(journal, figures)


if __name__ == "__main__":
    main()
