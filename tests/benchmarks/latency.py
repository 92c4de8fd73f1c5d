"""Is predicted latency what is measured: held-out networks of each runtime.

    python tests/benchmarks/latency.py --heldout 20

profiles a space on this machine, predicts held-out networks that the predictor has not seen, and
adds a row a runtime to results/latency.jsonl: error, share within 5 % and 10 %, rank correlation,
coverage of the interval, and the plain sum of blocks as a baseline.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rows import add_row, open_results

from hwsearch.latency.accuracy import heldout_accuracy
from hwsearch.latency.show import print_accuracy
from hwsearch.latency.table import Table
from hwsearch.profiling.profile import ProfileOptions, profile


def measure(options: ProfileOptions) -> dict[str, Any]:
    """Profiles one runtime and returns its row."""
    table = Table.read(profile(options))
    found = heldout_accuracy(table)
    print_accuracy(found)
    return {
        "table": table.name,
        "minutes": options.budget_minutes,
        "build_seconds": table.header.build_seconds,
        "evidence": options.evidence,
        "seed": options.seed,
        **asdict(found),
    }


def main() -> None:
    """Profiles every runtime asked for, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--heldout", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open_results("latency") as journal, tempfile.TemporaryDirectory() as folder:
        for runtime in arguments.runtimes:
            options = ProfileOptions(
                space=arguments.space,
                runtime=runtime,
                precision=arguments.precision,
                threads=arguments.threads,
                heldout=arguments.heldout,
                budget_minutes=arguments.minutes,
                seed=arguments.seed,
                out=Path(folder),
            )
            add_row(journal, measure(options))


if __name__ == "__main__":
    main()
