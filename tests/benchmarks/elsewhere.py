"""Does a kit measure what local profiling measures: both in turn, in one run, and over ssh.

    python tests/benchmarks/elsewhere.py --runtime onnxruntime

makes a kit, runs it where there is only NumPy and the runtime, and profiles the same networks and
blocks here and through a real sshd on the loopback; the ways take turns, a part of the budget at a
time, and the kit is killed three times in the midst of its first. Adds a row to
results/elsewhere.jsonl: how far the three tables differ, row by row.
"""

import argparse
import atexit
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

sys.path.append(str(Path(__file__).parents[1]))
from bare import make_bare
from kits import rows_of, start
from sshd import Sshd

from hwsearch.kit.jobs import RESULTS
from hwsearch.latency.table import Table
from hwsearch.profiling.imported import ImportOptions, import_results
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.pack import KitOptions, kit
from hwsearch.profiling.profile import profile
from hwsearch.progress import say

KILLS = 3
ROUNDS = 5

FIRST_SHARE = 0.5
"""Share of the budget in the first round: with much less, fewer blocks would be measured."""


def kit_way(recipe: dict[str, Any], python: Path, folder: Path) -> Callable[[float], Path]:
    """Makes a kit; what is returned goes on with it up to a budget in minutes and imports it."""
    kit(KitOptions(**recipe, out=folder / "kit"))
    kills = 0

    def go_on(minutes: float) -> Path:
        nonlocal kills
        flag = ("--budget-minutes", f"{minutes:g}")
        while kills < KILLS:
            _kill_midway(python, folder / "kit", *flag)
            kills += 1
        with start(python, folder / "kit", *flag) as child:
            _, wrong = child.communicate()
        assert child.returncode == 0, wrong
        return import_results(ImportOptions(folder / "kit" / RESULTS, out=folder / "by kit"))

    return go_on


def _kill_midway(python: Path, folder: Path, *flags: str) -> None:
    """Ends the whole process group as soon as visits come."""

    def visits() -> int:
        return sum("visit" in row for row in rows_of(folder / RESULTS))

    before = visits()
    with start(python, folder, *flags) as child:
        while visits() < before + 20 and child.poll() is None:
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGKILL)


def local_way(recipe: dict[str, Any], folder: Path) -> Callable[[float], Path]:
    """Profiles here, up to a budget in minutes."""
    here = {**recipe, "out": folder / "here"}
    return lambda minutes: profile(ProfileOptions(**{**here, "budget_minutes": minutes}))


def host_way(recipe: dict[str, Any], python: Path, folder: Path) -> Callable[[float], Path]:
    """Profiles through sshd on the loopback."""
    server = Sshd(folder / "sshd")
    os.environ["PATH"] = f"{server.bin}:{os.environ['PATH']}"
    server.start()
    atexit.register(server.stop)
    there = {**recipe, "host": "board", "host_python": str(python), "out": folder / "by ssh"}
    return lambda minutes: profile(ProfileOptions(**{**there, "budget_minutes": minutes}))


def differences(one: Table, other: Table) -> dict[str, Any]:
    """Compares the rows of two tables."""
    known = {(row.kind, row.key): row.latency_ms for row in other.rows}
    ratios = [row.latency_ms / known[row.kind, row.key] for row in one.rows]
    return {
        "rows": len(ratios),
        "median_ratio": round(float(np.median(ratios)), 4),
        "mean_difference": round(float(np.mean(np.abs(np.log(ratios)))), 4),
        "within_5": round(float(np.mean(np.abs(np.log(ratios)) <= 0.05)), 4),
    }


def main() -> None:
    """Measures in three ways and appends a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--minutes", type=float, default=1.0, help="of measuring, a way")
    arguments = parser.parse_args()
    recipe = {
        "space": arguments.space,
        "runtime": arguments.runtime,
        "threads": 1,
        "device": "board",
        "evidence": 20,
        "heldout": 10,
        "budget_minutes": arguments.minutes,
    }
    with tempfile.TemporaryDirectory() as temporary, open_results("elsewhere") as journal:
        folder = Path(temporary)
        python = make_bare(folder / "bare", ("numpy", arguments.runtime))
        ways = {
            "here": local_way(recipe, folder),
            "kit": kit_way(recipe, python, folder),
            "ssh": host_way(recipe, python, folder),
        }
        paths: dict[str, Path] = {}
        for share in np.linspace(FIRST_SHARE, 1, ROUNDS):
            minutes = round(float(arguments.minutes * share), 3)
            paths = {name: go_on(minutes) for name, go_on in ways.items()}
        tables = {name: Table.read(path) for name, path in paths.items()}
        found = {
            f"{one} over {other}": differences(tables[one], tables[other])
            for one, other in combinations(tables, 2)
        }
        visits = {name: table.header.visits for name, table in tables.items()}
        row = {"table": tables["here"].name, "kills": KILLS, "visits": visits, **found}
        say(str(row))
        add_row(journal, row)


if __name__ == "__main__":
    main()
