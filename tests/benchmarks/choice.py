"""What each way to choose a network loses to the best one within a limit, over many tasks.

    python tests/benchmarks/choice.py --data SETS --keep FOLDER
    python tests/benchmarks/choice.py --data SETS --run RUN --keep FOLDER
    python tests/benchmarks/choice.py --data sklearn:digits --keep FOLDER

SETS holds a folder a set with train-*.tar.gz and test-*.tar.gz. The first form trains what there is
to choose on CIFAR-10, all by one recipe and for as many passes: a supernet, the paths of a tree of
clusters (after as many of the whole network), and for each limit of latency a learned network. The
second takes a supernet of hwsearch train alone. One hwsearch choose on ten sets, which goes on
where it was stopped, leaves one row in results/choice.jsonl: the regret and the rank correlation of
each selector within each limit, as means over sets with 95 % intervals over sets and images, and
its regret on each set. The sets are not the one that was trained on.

The third is the first with scikit-learn's digits, which train and judge, in minutes on two cores.
Without --data it only prints what the journal holds.
"""

import argparse
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from choice_runs import DIGITS, Ways, reduced
from rows import add_row, open_results
from study import SOURCE, TASKS

from hwsearch.checkpoint import load_run
from hwsearch.choice.answers import MEAN, Answer
from hwsearch.choice.run import ChooseOptions, choose
from hwsearch.correlation.analysis import Interval

UNSEEN = tuple(name for name in TASKS if name != SOURCE)
"""Sets that supernets of the benchmarks are not trained on."""


def options_of(given: argparse.Namespace) -> ChooseOptions:
    """Returns what is asked."""
    tasks = tuple(f"{name}={Path(given.data) / name / 't*-*.tar.gz'}" for name in UNSEEN)
    if given.data == DIGITS:
        tasks, among = (f"digits={DIGITS}",), reduced(given.keep, given.device).options()
    elif given.run:
        among = {"checkpoint": given.run, "tables": (given.table,)}
    else:
        images = f"{given.data}/{SOURCE}/train-*.tar.gz"
        among = Ways(images, given.keep, given.epochs, given.device).options()
    return ChooseOptions(
        tasks=tasks,
        out=given.keep / "choice",
        networks=given.networks or (16 if given.data == DIGITS else 48),
        teacher=("rank", "committee"),
        limit=1500,
        device=given.device,
        **among,
    )


def name_of(given: argparse.Namespace, options: ChooseOptions) -> str:
    """Names what was chosen among, for the journal."""
    if given.data == DIGITS:
        return f"{DIGITS}, all ways"
    run = given.run.name if given.run else f"all ways, {given.epochs} passes"
    return f"{run}, {options.networks}"


def row_of(options: ChooseOptions, found: tuple[Answer, ...], name: str) -> dict[str, Any]:
    """Returns means over sets, and the regret on each of them."""
    header = load_run(options.checkpoint).header
    return {
        "name": name,
        "method": header.method,
        "steps": header.step,
        "networks": options.networks,
        "tasks": [task.name for task in options.named_tasks],
        "means": [_told(one) for one in found if one.task == MEAN],
        "regret in points": [
            [one.selector, round(one.budget_ms, 4), one.task, round(100 * one.accuracy.value, 2)]
            for one in found
            if one.task != MEAN
        ],
    }


def _told(answer: Answer) -> dict[str, Any]:
    return {
        "selector": answer.selector,
        "labels": answer.labels,
        "budget_ms": round(answer.budget_ms, 4),
        "within": answer.within,
        "regret_points": _numbers(answer.accuracy, 100),
        "regret_nats": _numbers(answer.log_loss, 1),
        "rho": _numbers(answer.rho, 1),
    }


def _numbers(interval: Interval, scale: float) -> list[float] | None:
    """Returns the value and both ends; a random choice has no rank correlation."""
    if isnan(interval.value):
        return None
    return [round(scale * x, 4) for x in (interval.value, interval.low, interval.high)]


def report(rows: list[dict[str, Any]]) -> None:
    """Prints the means of every row."""
    for row in rows:
        print(f"\n{row['name']}: {row['method']}, {row['steps']} steps; {len(row['tasks'])} sets")
        print(pd.DataFrame(row["means"]).to_string(index=False))


def main() -> None:
    """Runs the study, or only reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", help=f"folder of image sets, or {DIGITS} for the reduced form")
    parser.add_argument("--run", type=Path, help="trained supernet, to choose among its networks")
    parser.add_argument("--table", default="amd-epyc-genoa-2c/bottleneck-32-onnxruntime-fp32-b1-t1")
    parser.add_argument("--epochs", type=int, default=6, help="passes of what is trained here (6)")
    parser.add_argument("--networks", type=int, help="drawn from the supernet (48; 16 of digits)")
    parser.add_argument("--keep", type=Path, default=Path("choice"), help="folder for answers")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    given = parser.parse_args()
    with open_results("choice") as journal:
        if given.data:
            options = options_of(given)
            name = name_of(given, options)
            found = choose(options)
            if name not in {row["name"] for row in journal}:
                add_row(journal, row_of(options, found, name))
        report(list(journal))


if __name__ == "__main__":
    main()
