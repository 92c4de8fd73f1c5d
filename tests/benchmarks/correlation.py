"""Whether the distance orders networks of equal latency as labels do, on many sets of images.

    python tests/benchmarks/correlation.py --data SETS --runs RUN_SEED_0 RUN_SEED_1
    python tests/benchmarks/correlation.py --data sklearn:digits

SETS holds a folder a set with train-*.tar.gz and test-*.tar.gz, and bccd and camvid for dense
tasks; RUN is the --out folder of hwsearch train. Each unit is one hwsearch correlate, which goes on
where it was stopped, and leaves one row in results/correlation.jsonl with all its findings; units
that have a row are not run again. The judges:

    linear    a linear classifier on frozen features: many networks, cheap
    finetune  the whole network trained with labels, from the supernet's weights
    alone     the same from random weights: the judge that reads nothing which the distance reads
    head      a small head on frozen maps, for the dense tasks

The teacher is the supernet's largest network; in units that end in -rank it is the network, of 64
and the largest, whose features of the images have the highest effective rank. That was found to
help on rsscn7 and flowers, which are left out where sets are pooled for it. In units that end in
-committee it is the eight of these networks with the highest effective rank together, which was
found on rsscn7. Units that end in -others have one more control, the mean rank of the networks by
labels of those sets of other families that were judged so far.

Rows of the linear judge without "penalties" are kept and not reported: it chose among powers of ten
then, which suited some widths of the last stage better than others.

The reduced form trains a supernet on scikit-learn's digits first and judges a few networks, in
minutes on two cores; it is always run. Without --data it only prints what the journal holds.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
from correlation_plan import COMMITTEE, LISTED, RANK, Unit, plan
from correlation_pooled import pool
from rows import add_row, open_results

from hwsearch.checkpoint import load_run
from hwsearch.correlation.analysis import MEAN
from hwsearch.correlation.options import CorrelateOptions, Ranked
from hwsearch.correlation.run import correlate
from hwsearch.correlation.show import CSV, finding_row
from hwsearch.distance.kinds import Task
from hwsearch.evaluate.linear import PENALTIES
from hwsearch.train import TrainOptions, train

DIGITS = "sklearn:digits"
LIMIT = 5000
"""Most labelled images of a set: more of them take hours and tell little more."""

OTHER: dict[Task, Ranked] = {
    "classification": "dense",
    "detection": "projection",
    "segmentation": "projection",
}
"""The distance of the other kind of task, a control for awareness of the task."""


Run = Callable[[Unit, str, Path, str], dict[str, Any]]
Report = Callable[[list[dict[str, Any]]], None]


def reduced(keep: Path, device: str) -> Unit:
    """Trains a supernet on digits, or goes on with it, and returns a small study of it."""
    out = keep / "digits"
    train(
        TrainOptions(
            data=DIGITS,
            space="bottleneck-32",
            out=out,
            resume=out.exists(),
            epochs=8,
            batch=128,
            optimizer="adamw",
            lr=0.003,
            queue=0,
            ema=0.9,
            projection_hidden=256,
            residual_scale=1.0,
            flip=False,
            crop_min=0.6,
            device=device,
            tensorboard=False,
        )
    )
    return Unit(
        "digits-linear", out, DIGITS, DIGITS, "", "classification", "linear", 2, 16, "28 pixels"
    )


def options_of(unit: Unit, table: str, keep: Path, device: str) -> CorrelateOptions:
    """Returns one study as hwsearch correlate takes it.

    Raises:
        SystemExit: If it needs others and none of them is finished.
    """
    studies = keep / "studies"
    others = [name for name in unit.others if (studies / name / CSV).exists()]
    if unit.others and not others:
        raise SystemExit(f"{unit.name} comes after one of {', '.join(unit.others)}")
    return CorrelateOptions(
        checkpoint=unit.run,
        table=table,
        images=unit.images,
        data=unit.data,
        foreign=unit.foreign,
        task=unit.task,
        judge=unit.judge,
        side=128 if unit.task != "classification" else None,
        folds=2 if unit.judge in ("finetune", "alone", "head") else 5,
        bins=unit.bins,
        per_bin=unit.per_bin,
        limit=LIMIT,
        teacher=unit.teacher,
        distances=(*CorrelateOptions.distances, OTHER[unit.task]),
        device="cuda" if device == "cuda" else "cpu",
        others=tuple(studies / name for name in others),
        out=studies / _without_end(unit.name),  # nothing is asked twice
    )


def _without_end(name: str) -> str:
    ends = (RANK, COMMITTEE, LISTED)
    return next((name.removesuffix(end) for end in ends if name.endswith(end)), name)


def run(unit: Unit, table: str, keep: Path, device: str) -> dict[str, Any]:
    """Runs one study to its end and returns its row."""
    options = options_of(unit, table, keep, device)
    findings = [finding_row(finding) for finding in correlate(options)]
    return describe(unit) | {"others": [one.name for one in options.others], "findings": findings}


def describe(unit: Unit) -> dict[str, Any]:
    """Returns what a row says of its study and supernet."""
    header = load_run(unit.run).header
    return {
        "name": unit.name,
        "family": unit.family,
        "task": unit.task,
        "judge": unit.judge,
        "teacher": unit.teacher,
        "development": unit.development,
        "bins": unit.bins,
        "per_bin": unit.per_bin,
        **({"penalties": len(PENALTIES)} if unit.judge == "linear" else {}),
        "space": header.space,
        "method": header.method,
        "steps": header.step,
        "train_seed": header.recipe.get("seed"),
    }


def current(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows whose judge is today's."""
    return [row for row in rows if row["judge"] != "linear" or "penalties" in row]


def report(rows: list[dict[str, Any]]) -> None:
    """Prints, for each unit and measure, the tested distance beside the parameter count."""
    lines = [line for row in rows for line in _lines(row)]
    if not lines:
        print("no unit done yet")
        return
    print(pd.DataFrame(lines).to_string(index=False))
    pooled = pool(rows)
    if len(pooled):
        print("\nAll sets together:")
        print(pooled.to_string(index=False))


def _lines(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = pd.DataFrame(row["findings"])
    means = found[found["where"] == MEAN]
    for measure, part in means.groupby("measure", sort=False):
        first, size = part.iloc[0], part[part["distance"] == "parameters"]
        controls = part.iloc[1:]
        beaten = (pd.to_numeric(controls["ahead_low"]) > 0).sum()
        yield {
            "unit": row["name"],
            "measure": measure,
            "ceiling": first["ceiling"],
            "distance": first["distance"],
            "rho": f"{first['rho']} ({first['rho_low']} to {first['rho_high']})",
            "share": first["of_ceiling"],
            "rho_parameters": size["rho"].squeeze() if len(size) else "",
            "controls_beaten": f"{beaten} of {len(controls)}",
            "regret": first["regret"],
            "regret_parameters": size["regret"].squeeze() if len(size) else "",
        }


def ask(benchmark: str, description: str, only: str, run: Run, report: Report) -> None:
    """Reads the command line, runs the units that have no row, and reports all rows."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", help=f"folder of image sets, or {DIGITS} for the reduced form")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="trained supernets")
    parser.add_argument("--table", default="amd-epyc-genoa-2c/bottleneck-32-onnxruntime-fp32-b1-t1")
    parser.add_argument("--keep", type=Path, default=Path("correlation"), help="folder for studies")
    parser.add_argument("--only", default=only, help="units to run, such as '*-linear'")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    chosen = parser.parse_args()
    with open_results(benchmark) as journal:
        units: list[Unit] = []
        if chosen.data == DIGITS:
            units = [reduced(chosen.keep, chosen.device)]
        elif chosen.data:
            units = [*plan(Path(chosen.data), chosen.runs)]
        for unit in units:
            new = unit.name not in {row["name"] for row in current(journal)}
            if fnmatch(unit.name, chosen.only) and (new or chosen.data == DIGITS):
                print(f"unit {unit.name}", flush=True)
                row = run(unit, chosen.table, chosen.keep, chosen.device)
                if new:
                    add_row(journal, row)
        report(current(journal))


def main() -> None:
    ask("correlation", __doc__ or "", "*", run, report)


if __name__ == "__main__":
    main()
