"""Do delivered engines keep the budget they were picked for, measured once more.

    python tests/benchmarks/delivered.py --keep delivered

searches the networks of each table (distances of random weights: they only have to differ) and
delivers the best within each of several latency budgets by `hwsearch deploy --pick
max-latency-ms=…`; measures every delivered engine once more in a new process. Adds a row an engine
to results/delivered.jsonl; those that have a row are not delivered again. Prints the share that met
its budget, how much of it was used, and how often the first prediction's 90 % interval held.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import add_row, open_results

from hwsearch.checkpoint import Checkpoint, Header, build_method
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.latency.table import Table, find_table
from hwsearch.profiling.remeasure import remeasure
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.spaces import get_space

TABLES = tuple(
    f"bottleneck-32-{engine}-b1-t1"
    for engine in ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32", "openvino-int8")
)
EVALUATIONS, SECONDS = 96, 5.0


def write_random_run(space_name: str, folder: Path) -> Path:
    """Writes a checkpoint that was never trained."""
    if not folder.exists():
        space, settings = get_space(space_name), MethodSettings(projection_hidden=64, queue=64)
        method = build_method(space, "moco-v2", settings, seed=0, residual_scale=1.0)
        folder.mkdir(parents=True)
        header = Header(space.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
        Checkpoint(header, method.state_dict(), {}).save(folder)
    return folder


def searched(table: Table, keep: Path) -> Path:
    """Returns the folder of a search of a table."""
    run = write_random_run(table.space, keep / f"run-{table.space}")
    out = keep / f"search-{table.name}"
    return search(
        SearchOptions(
            tables=(str(table.path),),
            checkpoint=run,
            images="sklearn:digits",
            max_images=64,
            evaluations=EVALUATIONS,
            stop_gain=0.0,
            out=out,
        )
    )


def deliver(found: Path, table: Table, limit_ms: float, keep: Path) -> dict[str, Any]:
    """Delivers one engine and measures it again."""
    out, start = keep / f"engine-{table.name}-{limit_ms:.4f}", time.monotonic()
    pick = f"max-latency-ms={limit_ms:.4f}"
    if not out.exists():
        deploy(
            DeployOptions(
                search=found, out=out, pick=pick, measure_seconds=SECONDS, budget_seconds=30.0
            )
        )
    seconds, manifest = time.monotonic() - start, read_manifest(out)
    again = remeasure({"engine": out / manifest.engine}, table, budget_seconds=SECONDS)["engine"]
    latency = manifest.latency
    return {
        "table": table.name,
        "limit_ms": round(limit_ms, 4),
        "subnet": manifest.subnet,
        "expected_ms": round(latency.predicted_ms, 5),
        "expected_interval_ms": [round(latency.low_ms, 5), round(latency.high_ms, 5)],
        "delivered_ms": round(latency.measured_ms, 5),
        "again_ms": round(again.latency_ms, 5),
        "again_stderr_rel": round(again.stderr_rel, 5),
        "flags": [*latency.flags, *again.flags],
        "seconds": round(seconds, 1),
    }


def report(rows: list[dict[str, Any]]) -> None:
    """Prints the shares, by table and in all."""
    if not rows:
        print("no engine delivered yet")
        return
    found = pd.DataFrame(rows)
    used = found["again_ms"] / found["limit_ms"]
    ends = np.array(found["expected_interval_ms"].to_list())
    found = found.assign(
        met=used <= 1,
        met_within_noise=used <= 1 + 2 * found["again_stderr_rel"],
        used=used,
        inside=(found["again_ms"] >= ends[:, 0]) & (found["again_ms"] <= ends[:, 1]),
        noisy=found["flags"].map(bool),
    )
    columns = ["met", "met_within_noise", "used", "inside", "noisy", "seconds"]
    print(found.groupby("table")[columns].mean().assign(n=found.groupby("table").size()).round(3))
    print(f"{len(found)} engines:", found[columns].mean().round(3).to_dict())


def main() -> None:
    """Delivers what has no row yet; prints the figures of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--budgets", type=int, default=10, help="budgets a table")
    parser.add_argument("--keep", type=Path, default=Path("delivered"), help="folder for searches")
    chosen = parser.parse_args()
    with open_results("delivered") as journal:
        done = {(row["table"], row["limit_ms"]) for row in journal}
        for table in map(Table.read, map(find_table, chosen.tables)):
            found = searched(table, chosen.keep)
            latency_ms = Evaluations.read(found).latency_ms[:, 0]
            for limit_ms in np.geomspace(*np.quantile(latency_ms, (0.05, 0.95)), chosen.budgets):
                if (table.name, round(float(limit_ms), 4)) not in done:
                    add_row(journal, deliver(found, table, float(limit_ms), chosen.keep))
        report(list(journal))


if __name__ == "__main__":
    main()
