"""Does the quickstart do what it says: time, memory, and accuracy beside both controls?

    python tests/benchmarks/quickstart.py --seeds 0 1 2 --keep somewhere

runs the whole quickstart once a seed and adds a row a seed to results/quickstart.jsonl; seeds
that are there already are not run again. What the quickstart makes is removed unless it is kept.
Then it prints all rows and, over the knee engines of all seeds, whether their features are above
both controls.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from rows import add_row, open_results
from whole_process import run_hwsearch

from hwsearch.quickstart import JUDGEMENT_NAME


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Runs the quickstart in a folder of its own and returns its row."""
    out = folder / f"seed-{seed}"
    ran = run_hwsearch(["quickstart", "--out", str(out), "--seed", str(seed)])
    judgement = pd.read_csv(out / JUDGEMENT_NAME)
    return {
        "seed": seed,
        "minutes": ran.seconds / 60,
        "peak_memory_mb": ran.peak_memory_mb,
        "engines": judgement.to_dict("records"),
    }


def report(rows: list[dict[str, Any]]) -> None:
    """Prints every engine of every seed, and the comparison with the controls."""
    engines = pd.concat(
        [pd.DataFrame(row["engines"]).assign(seed=row["seed"]) for row in rows], ignore_index=True
    )
    print(engines.round(4).to_string(index=False))
    knees = engines[engines["pick"] == "knee"]
    for control in ("random_weights", "raw_pixels"):
        margin = 100 * (knees["accuracy"] - knees[control])
        print(
            f"knee engines minus {control}: {margin.mean():+.1f} points on average, "
            f"{margin.min():+.1f} at least, {(margin > 0).sum()} of {len(margin)} above"
        )
    minutes = [row["minutes"] for row in rows]
    memory = [row["peak_memory_mb"] for row in rows]
    print(f"minutes {min(minutes):.1f} to {max(minutes):.1f}, peak memory {max(memory):.0f} MB")


def main() -> None:
    """Runs the seeds that have no row yet, then prints all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="folder for what the quickstart makes")
    arguments = parser.parse_args()
    with open_results("quickstart") as journal, tempfile.TemporaryDirectory() as temporary:
        for seed in sorted(set(arguments.seeds) - {row["seed"] for row in journal.rows}):
            add_row(journal, measure(seed, arguments.keep or Path(temporary)))
        report(journal.rows)


if __name__ == "__main__":
    main()
