"""What a supernet's subnets are worth: trained together or alone, with this teacher or that.

    python tests/benchmarks/supernet_evidence.py --data CIFAR10_FOLDER --only "teacher-*"

CIFAR10_FOLDER holds train-*.tar.gz and test-*.tar.gz. Each unit trains one run by
`hwsearch train` (an interrupted one goes on), judges networks of it by nearest neighbours and by a
linear classifier on their frozen features, and leaves one row in results/supernet_evidence.jsonl;
units that have a row are not run again. The claims:

    teacher   a teacher that stays at the largest network, against one with the query's own shape
    alone     subnets as they come from the supernet, against the same networks trained alone
    family    every family of networks, beside its random weights
    method    every method, beside the same
    strong    SimCLR with the largest network's views as targets, for twice as long
    external  a frozen larger network, trained alone for twice as long, as the only teacher

Without --data it only prints what the journal holds: means over seeds with 95 % intervals.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import judges
import pandas as pd
from rows import add_row, open_results

from hwsearch.checkpoint import build_method, load_run
from hwsearch.nn import StaticNet
from hwsearch.selfsup.settings import DEFAULTS, MethodSettings
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space
from hwsearch.train import TrainOptions, train

SPACE, SEEDS = "bottleneck-32", (0, 1, 2)
EPOCHS, SHORT, LONG = 20, 5, 40
FAMILIES = ("basic-32", "inverted-32", "vit-32")
IN_FP32 = ("inverted-32", "vit-32")
"""On a CPU their steps take 1.4 to 1.8 times as long in bf16."""
SLOW = "vit-32"
"""The family that is hardly better than its random weights after `SHORT` passes."""
METHODS = ("byol", "densecl", "ressl", "simclr", "simsiam")
TUTOR = Path(__file__).with_name("tutor.py")
STRONG = {"max_target": True, "blur": 0.0}
SIZES = ("min", "middle", "max")


@dataclass(frozen=True)
class Unit:
    """One run to be trained and judged.

    Attributes:
        name: Unique; a row is known by it.
        space: Space to train.
        method: Method to train with; empty means random weights, which are not trained.
        seed: Of weights, order, augmentation and random networks.
        epochs: Passes over the images.
        strong: Whether it trains by `STRONG`.
        own_target: Whether teachers have the shape of the network that learns from them.
    """

    name: str
    space: str
    method: str
    seed: int
    epochs: int = EPOCHS
    strong: bool = False
    own_target: bool = False


def plan() -> Iterator[Unit]:
    """Yields all units, the cheap controls first."""
    for name in (SPACE, *FAMILIES):
        yield Unit(f"random-{name}", name, "", 0)
    for seed in SEEDS:
        yield Unit(f"teacher-max-{seed}", SPACE, "moco-v2", seed)
        yield Unit(f"teacher-own-{seed}", SPACE, "moco-v2", seed, own_target=True)
    for size, network in networks_of(get_space(SPACE)).items():
        yield Unit(f"alone-{size}-0", f"{SPACE}[{network}]", "moco-v2", 0)
    for name in (SPACE, *FAMILIES):
        yield Unit(f"family-{name}-0", name, "moco-v2", 0, SHORT)
    yield Unit(f"family-{SLOW}-longer-0", SLOW, "moco-v2", 0, 2 * SHORT)
    for method in METHODS:
        yield Unit(f"method-{method}-0", SPACE, method, 0, SHORT)
    for seed in SEEDS:
        yield Unit(f"strong-{seed}", SPACE, "simclr", seed, LONG, strong=True)
    yield Unit("tutor-0", "basic-32[max]", "moco-v2", 0, LONG)
    yield Unit("external-0", SPACE, "distil", 0)


def networks_of(space: Space) -> dict[str, Subnet]:
    """Returns the smallest, a medium and the largest network; a space of one has but that."""
    if space.size == 1:
        return {"alone": space.maximum}
    middle = {dim.name: dim.choices[len(dim.choices) // 2] for dim in space.dims}
    return dict(zip(SIZES, (space.minimum, space.subnet(**middle), space.maximum), strict=True))


def options_of(unit: Unit, data: Path, keep: Path, device: str) -> TrainOptions:
    """Differs from the papers' recipes where a few epochs of 20,000 small images need it."""
    out = keep / unit.name
    ours = {"queue": 0, "ema": 0.99, "ema_end": None, "projection_hidden": 512, "projection": 128}
    known = DEFAULTS.get(unit.method, DEFAULTS["moco-v2"])
    return TrainOptions(
        data=str(data / "train-*.tar.gz"),
        space=unit.space,
        method=unit.method,
        out=out,
        resume=out.exists(),
        epochs=unit.epochs,
        batch=256,
        optimizer="adamw",
        lr=0.002,
        residual_scale=1.0,
        teacher=str(TUTOR) if unit.method == "distil" else None,
        seed=unit.seed,
        device=device,
        amp="fp32" if unit.space in IN_FP32 and device != "cuda" else "auto",
        tensorboard=False,
        own_target=unit.own_target,
        **{name: value for name, value in ours.items() if name in known},
        **(STRONG if unit.strong else {}),
    )


def run(unit: Unit, data: Path, keep: Path, device: str) -> dict[str, Any]:
    """Trains and judges one unit; returns its row."""
    space, judge = get_space(unit.space), judges.Judge(data, get_space(unit.space).input_shape[1])
    if not unit.method:
        taken, training = _random(space), {}
    else:
        os.environ |= {"TUTOR_RUN": str(keep / "tutor-0"), "TUTOR_IMAGES": str(data)}
        out = train(options_of(unit, data, keep, device))
        taken, training = load_run(out).supernet().extract, _training(out)
    results = {size: judge(taken(network)) for size, network in networks_of(space).items()}
    return asdict(unit) | training | {"results": results}


def _random(space: Space) -> Callable[[Subnet], StaticNet]:
    settings = MethodSettings(projection_hidden=16, queue=0)
    method = build_method(space, "moco-v2", settings, seed=0, residual_scale=1.0)
    return method.encoder("online").supernet.extract


def _training(out: Path) -> dict[str, Any]:
    """Says what a run did, as its log tells."""
    log = pd.read_json(out / "metrics.jsonl", lines=True)
    steps, recipe = int(log["step"].iloc[-1]), load_run(out).header.recipe
    return {
        "epochs": recipe["epochs"],
        "steps": steps,
        "images_seen": steps * recipe["batch"],
        "amp": recipe["amp"],
        "images_per_second": float(log["images_per_second"].median()),
        "loss_max": float(log["loss_max"].tail(10).mean()),
        "embedding_std": float(log["embedding_std"].tail(10).mean()),
    }


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Flattens rows: one line a unit, size and judge."""
    lines = [
        {"unit": row["name"].rsplit("-", 1)[0], "seed": row["seed"], "size": size, **result}
        for row in rows
        for size, result in row["results"].items()
    ]
    return pd.DataFrame(lines)


def report(rows: list[dict[str, Any]]) -> None:
    """Prints all figures, the paired comparison of the teachers, and what is still to be run."""
    planned = [unit.name for unit in plan()]
    done = {row["name"] for row in rows}
    print(f"{len(done & set(planned))} of {len(planned)} planned units done")
    if not rows:
        return
    found = table(rows)
    print(found.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for size in SIZES:
        for name in ("knn", "linear"):
            print(judges.paired(found, "teacher-max", "teacher-own", size, name))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train-*.tar.gz and test-*.tar.gz")
    parser.add_argument("--keep", type=Path, default=Path("evidence"), help="folder for runs")
    parser.add_argument("--only", default="*", help="units to run, such as 'teacher-*'")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    chosen = parser.parse_args()
    with open_results("supernet_evidence") as journal:
        for unit in plan() if chosen.data else ():
            if fnmatch(unit.name, chosen.only) and unit.name not in {r["name"] for r in journal}:
                print(f"unit {unit.name}", flush=True)
                add_row(journal, run(unit, chosen.data, chosen.keep, chosen.device))
        report(list(journal))


if __name__ == "__main__":
    main()
