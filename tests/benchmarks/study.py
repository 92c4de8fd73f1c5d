"""Whether one network wins everywhere: many networks, each trained alone, on many sets of images.

    python tests/benchmarks/study.py --data SETS
    python tests/benchmarks/study.py --data SETS --only "basic-32*-seed0"
    python tests/benchmarks/study.py --data sklearn:digits

SETS holds a folder a set with train-*.tar.gz and test-*.tar.gz. Forty networks of four families
are trained by SimCLR on the training images of cifar10, for 5 passes of 78 steps, with two seeds,
and probed on eleven sets: 80 units, which take many hours of one core together and 45 minutes at
most each. A unit trains and probes one network with one seed, by the code of
hwsearch study in one folder, and leaves one row in results/study.jsonl; units that have a row are
not run again, and one that was stopped goes on. The last one, "findings", works out all statistics
from the rows once the others are done, and leaves them in a row, again where they are worked out
otherwise than before; those of the networks that are done so far are always printed. With --config
FILE the whole is written as a config instead: hwsearch study --config FILE does the same work, and
the units then find it done.

The reduced form trains six networks on scikit-learn's digits for one pass and probes them on four
tasks made from these, in two minutes of one core; it is always run, and leaves one row. Without
--data it only prints what the journal holds.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from rows import add_row, open_results
from study_rows import findings_of, pack, results_of

from hwsearch.config import write_config
from hwsearch.data.sources import open_source
from hwsearch.journal import Journal, read_journal
from hwsearch.study.findings import find
from hwsearch.study.gather import gather
from hwsearch.study.networks import Network
from hwsearch.study.options import StudyOptions
from hwsearch.study.plan import FILE, KIND
from hwsearch.study.run import study, title_of
from hwsearch.study.show import show_findings

DIGITS, FINDINGS, SOURCE = "sklearn:digits", "findings", "cifar10"
NETWORKS = {"basic-32": 14, "bottleneck-32": 14, "vit-32": 8, "inverted-32": 4}
"""How many of each family; on a CPU a step of the last takes five times as long as of the first."""
TASKS = (
    *("cifar10", "fashion_mnist", "flowers", "gtsrb", "mnist", "omniglot"),
    *("pacs_photo", "pacs_sketch", "pneumonia", "rsscn7", "tiny_imagenet"),
)
EPOCHS = 5
LIMIT = 2500
"""Most labelled images of a set: more of them take hours and tell little more."""


@dataclass(frozen=True)
class Unit:
    """One network with one seed.

    Attributes:
        network: What is trained and probed.
        seed: Of training and folds.
    """

    network: Network
    seed: int

    @property
    def name(self) -> str:
        """Unique; a row is known by it."""
        return f"{self.network.label.replace(' ', '-')}-seed{self.seed}"


def options_of(data: Path, keep: Path) -> StudyOptions:
    """Returns the whole study."""
    return StudyOptions(
        data=str(data / SOURCE / "train-*.tar.gz"),
        networks=tuple(f"{family}:{count}" for family, count in NETWORKS.items()),
        tasks=tuple(f"{name}={data / name / 't*-*.tar.gz'}" for name in TASKS),
        out=keep / "study",
        epochs=EPOCHS,
        batch=256,
        amp="bf16",
        optimizer="adamw",
        lr=0.002,
        residual_scale=1.0,
        projection_hidden=512,
        limit=LIMIT,
        source_task=SOURCE,
        processes=1,
        trial=False,
    )


def units_of(options: StudyOptions) -> Iterator[Unit]:
    """Yields all units, the first seed first."""
    for seed in options.seeds:
        for network in options.read_networks():
            yield Unit(network, seed)


def run(unit: Unit, options: StudyOptions) -> dict[str, Any]:
    """Trains and probes one network with one seed; returns its row."""
    alone = replace(options, networks=(unit.network.name,), seeds=(unit.seed,))
    results = gather(alone)
    assert results is not None
    _, rows = read_journal(options.out / FILE, KIND)
    own = [r for r in rows if (r.get("network"), r.get("seed")) == (unit.network.name, unit.seed)]
    (trained,) = (row for row in own if not row["task"])
    row = {
        "name": unit.name,
        "network": unit.network.name,
        "family": unit.network.family,
        "params": unit.network.params,
        "macs": unit.network.macs,
        "seed": unit.seed,
        "method": options.method,
        "failed": trained.get("failed"),
        "steps": trained.get("steps"),
        "loss": trained.get("loss"),
        "train_seconds": trained.get("seconds"),
        "probe_seconds": sum(row["seconds"] for row in own if row["task"] and "seconds" in row),
    }
    if not results.networks:
        return row
    key = unit.network.name, unit.seed
    return row | {"scores": {task: pack(results.verdicts[*key, task]) for task in results.tasks}}


def reduced(keep: Path) -> StudyOptions:
    """Returns a small study of digits; makes its tasks first."""
    return StudyOptions(
        data=DIGITS,
        networks=("basic-32:2", "bottleneck-32:2", "inverted-32[min]", "vit-32[min]"),
        tasks=(f"digits={DIGITS}", *make_tasks(keep / "tasks")),
        out=keep / "digits",
        epochs=1,
        batch=64,
        amp="bf16",
        optimizer="adamw",
        lr=0.003,
        residual_scale=1.0,
        projection_hidden=128,
        flip=False,
        crop_min=0.6,
        limit=400,
        source_task="digits",
        processes=1,
        trial=False,
    )


def make_tasks(folder: Path, count: int = 400) -> list[str]:
    """Writes three tasks made from digits: odd or even, upside down, and noisy ones."""
    source, rng = open_source(DIGITS), np.random.default_rng(0)
    for index in range(count):
        image, label = source.image(index), source.label(index)
        assert label is not None
        noisy = np.clip(image + rng.normal(0, 60, image.shape), 0, 255).astype(np.uint8)
        made = {"odd": (image, label % 2), "turned": (image[::-1], label), "noisy": (noisy, label)}
        for name, (pixels, its) in made.items():
            path = folder / name / str(its) / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return [f"{name}={folder / name}" for name in ("odd", "turned", "noisy")]


def run_all(journal: Journal, options: StudyOptions, only: str) -> None:
    """Runs the units that have no row; when all have one, the findings leave a row, too."""
    units = list(units_of(options))
    for unit in units:
        if fnmatch(unit.name, only) and unit.name not in _done(journal):
            print(f"unit {unit.name}", flush=True)
            add_row(journal, run(unit, options))
    complete = {unit.name for unit in units} <= _done(journal)
    results = results_of(list(journal), options)
    if complete and results:
        found = json.loads(json.dumps(findings_of(results, options)))
        earlier = [row for row in journal if row["name"] == FINDINGS][-1:]
        if not earlier or any(earlier[0][key] != value for key, value in found.items()):
            add_row(journal, {"name": FINDINGS, **found})


def tell(journal: Journal, options: StudyOptions) -> None:
    """Tells the findings so far."""
    if results := results_of(list(journal), options):
        show_findings(find(results, {}, options), title_of(results, options), SOURCE)


def _done(journal: Journal) -> set[str]:
    return {row["name"] for row in journal}


def report(rows: list[dict[str, Any]]) -> None:
    """Prints the accuracies of all runs, and what the findings come to."""
    lines = [
        {"unit": row["name"], "steps": row["steps"], "train_s": row["train_seconds"]}
        | {"probe_s": row["probe_seconds"]}
        | {task: round(100 * kept["accuracy"], 1) for task, kept in row["scores"].items()}
        for row in rows
        if "scores" in row
    ]
    if lines:
        print(pd.DataFrame(lines).to_string(index=False))
    for row in {row["name"]: row for row in rows}.values():
        if "pairs" in row:
            print(f"\n{row['name']}: {row['title']}")
            for kind in ("ceilings", "pairs", "winners", "regrets", "depths"):
                table = pd.DataFrame(row[kind])
                if len(table):
                    print(table[table["measure"] == "accuracy"].to_string(index=False))
    if not rows:
        print("no unit done yet")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", help=f"folder of image sets, or {DIGITS} for the reduced form")
    parser.add_argument("--keep", type=Path, default=Path("study"), help="folder for the study")
    parser.add_argument("--only", default="*", help="units to run, such as 'vit-32*-seed0'")
    parser.add_argument("--config", type=Path, help="only write the whole as a config")
    chosen = parser.parse_args()
    if chosen.config:
        whole = options_of(Path(chosen.data).absolute(), chosen.keep.absolute())
        write_config(chosen.config, whole, ("torch", "numpy", "scipy"))
        return
    with open_results("study") as journal:
        if chosen.data == DIGITS:
            options = reduced(chosen.keep)
            findings = study(options)
            if findings and DIGITS not in _done(journal):
                add_row(journal, {"name": DIGITS, **findings_of(findings.results, options)})
        elif chosen.data:
            run_all(journal, options_of(Path(chosen.data), chosen.keep), chosen.only)
        report(list(journal))
        tell(journal, options_of(Path(chosen.data or ""), chosen.keep))


if __name__ == "__main__":
    main()
