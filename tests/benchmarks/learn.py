"""Is a learned network better than random ones of its latency, and does it have that latency?

    python tests/benchmarks/learn.py --data DIR --pretrain cifar10 --keep FOLDER
    python tests/benchmarks/learn.py --data sklearn:digits --epochs 3 --random 4

DIR/NAME holds train-*.tar.gz and test-*.tar.gz. Each unit takes some minutes (an interrupted one
goes on) and leaves a row in results/learn.jsonl; units that have a row are not run again.

    learn-S     learns a network without labels, with seed S, without finalists
    learned-S   trains that network alone and judges it by a linear classifier on frozen features
    finals-S    goes on from there with finalists, as hwsearch learn does unless told otherwise
    final-S     the same for the network that they end with
    random-I    the same for a random network of equal predicted latency (±2 %)
    searched-T  the same for what hwsearch search picks from --supernet, for that latency, by the
                distance to its largest network (T is max), to that of highest rank (rank) or to
                a committee
    like-NAME   the same for R18-, R50- and MBv2-like networks: the widest of even widths that is
                no slower as measured (elsewhere than on the tables' device: that is predicted to be
                no slower, or of other spaces has no more multiply-accumulates); else the narrowest;
                like-mbv2-fitted: any sizes, those of the most work that is predicted to fit
    ready-NAME  the same for a network of a catalogue as it is, whatever its latency
    study-best  the same for the network of study.py, of those that are no slower, that was best
                there on the images that networks are trained on
    …-1, …-2    the last four with other seeds
    target-R-Q  learns to the latency of a quantile Q of the space on runtime R, and measures

A report follows: places of the learned networks among the random ones; points above the best of as
many random ones as could be trained in the time that learning took (labels choose it: those of the
first task for all, or of each task for itself) and above the others, with intervals over tasks,
seeds and random networks; how far latencies were off. Measuring needs the device that the tables
are of.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
from learn_networks import (
    learned,
    mbv2_fitted,
    mbv2_like,
    measured_ms,
    r18_like,
    r50_like,
    random_networks,
    searched,
)
from learn_plan import DIGITS, Plan
from learn_ready import ready_mobilenet, study_best
from learn_report import report, with_seed
from rows import add_row, open_results
from study import SOURCE

from hwsearch.evaluate.options import ProbeOptions
from hwsearch.evaluate.probe import probe
from hwsearch.journal import Journal
from hwsearch.kinds import total_macs
from hwsearch.learn import LearnOptions, learn
from hwsearch.space import Space, Subnet
from hwsearch.train import TrainOptions, train

TASKS = (
    *("cifar10", "fashion_mnist", "flowers", "gtsrb", "omniglot"),
    *("pacs_photo", "pneumonia", "rsscn7", "tiny_imagenet"),
)
FINALISTS = LearnOptions.finalists
RUNTIMES, QUANTILES = ("onnxruntime", "openvino"), (0.2, 0.5, 0.8)


def units(plan: Plan) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields name and work of every unit."""
    for seed in range(plan.chosen.seeds):
        yield f"learn-{seed}", lambda seed=seed: run_learn(plan, seed)
        yield f"learned-{seed}", lambda seed=seed: run_alone(plan, *learned(plan, seed), seed)
    for seed in range(plan.chosen.seeds):
        yield f"finals-{seed}", lambda seed=seed: run_finals(plan, seed)
        yield (
            f"final-{seed}",
            lambda seed=seed: run_alone(plan, *learned(plan, seed, "finals"), seed),
        )
    for at, subnet in enumerate(random_networks(plan)):
        yield f"random-{at}", lambda subnet=subnet, at=at: run_alone(plan, plan.space, subnet, at)
    for seed, (name, find) in product(range(plan.chosen.seeds), others(plan).items()):
        yield with_seed(name, seed), lambda find=find, seed=seed: run_alone(plan, *find(plan), seed)
    for runtime in RUNTIMES:
        for quantile in QUANTILES:
            yield (
                f"target-{runtime}-{quantile:g}",
                lambda runtime=runtime, quantile=quantile: run_target(plan, runtime, quantile),
            )


def others(plan: Plan) -> dict[str, Callable[[Plan], tuple[Space, Subnet]]]:
    """Returns what finds each of the networks that learned ones are compared with."""
    found: dict[str, Callable[[Plan], tuple[Space, Subnet]]] = {}
    for teacher in ("max", "rank", "committee") if plan.chosen.supernet else ():
        found[f"searched-{teacher}"] = partial(searched, teacher=teacher)
    alike = {"mbv2": mbv2_like, "r18": r18_like, "r50": r50_like}
    if plan.chosen.space == "inverted-32":
        alike["mbv2-fitted"] = mbv2_fitted
    found |= {f"like-{name}": find for name, find in alike.items()}
    found["ready-mobilenetv2-035"] = ready_mobilenet
    if plan.chosen.pretrain == SOURCE and plan.chosen.data != DIGITS:
        found["study-best"] = study_best
    return found


def run_learn(plan: Plan, seed: int) -> dict[str, Any]:
    """Learns a network; tells what came out and how long it took."""
    out = plan.chosen.keep / plan.name / f"learn-{seed}"
    return _learn(plan, out, plan.chosen.runtime, plan.chosen.latency_ms, seed)


def run_finals(plan: Plan, seed: int) -> dict[str, Any]:
    """Lets finalists follow what `run_learn` left."""
    folder = plan.chosen.keep / plan.name
    if not (folder / f"finals-{seed}").exists():
        copytree(folder / f"learn-{seed}", folder / f"finals-{seed}")
    runtime, target_ms = plan.chosen.runtime, plan.chosen.latency_ms
    begun = _clock(plan)
    told = _learn(plan, folder / f"finals-{seed}", runtime, target_ms, seed, finalists=FINALISTS)
    return told | {"seconds": _clock(plan) - begun}


def run_target(plan: Plan, runtime: str, quantile: float) -> dict[str, Any]:
    """Learns to one latency and measures it."""
    every = plan.space.pool(np.random.default_rng(0))
    low = plan.target_on(runtime, plan.chosen.latency_ms).latency.mean_ms(every)
    target_ms = float(np.quantile(low, quantile))
    out = plan.chosen.keep / plan.name / f"target-{runtime}-{quantile:g}"
    return _learn(plan, out, runtime, target_ms, 0)


def _learn(
    plan: Plan, out: Path, runtime: str, target_ms: float, seed: int, *, finalists: int = 0
) -> dict[str, Any]:
    more = {
        "finalists": finalists,
        "table": plan.table(runtime),
        "latency_ms": target_ms,
        "space": plan.chosen.space,
    }
    begun, resumed = _clock(plan), out.exists()
    learn(LearnOptions(**plan.recipe(out, seed), **more))
    told = json.loads((out / "learned.json").read_text())
    return told | {"seconds": None if resumed else _clock(plan) - begun}


def _clock(plan: Plan) -> float:
    """Tells seconds: of this process where it computes itself, so that others do not count."""
    return time.monotonic() if plan.chosen.device == "cuda" else time.process_time()


def run_alone(plan: Plan, space: Space, subnet: Subnet, seed: int) -> dict[str, Any]:
    """Trains one network alone and judges it on every task."""
    found = judged(plan, space, subnet, seed, folder_of(plan, space, subnet, seed))
    if space == plan.space:
        found["predicted_ms"] = float(plan.target.latency.predict_subnet(subnet).mean_ms[0])
    return {"network": f"{space.name}[{subnet}]", **found}


def judged(plan: Plan, space: Space, subnet: Subnet, seed: int, out: Path) -> dict[str, Any]:
    """Does so in a folder; returns what it took, costs and came to."""
    begun, resumed = _clock(plan), out.exists()
    train(TrainOptions(space=f"{space.name}[{subnet}]", **plan.recipe(out, seed)))
    seconds = None if resumed else _clock(plan) - begun
    return {
        "seconds": seconds,
        "macs": total_macs(space.lower(subnet)),
        "measured_ms": measured_ms(plan, space, [subnet]).get(subnet),
        "results": {name: _linear(out, data, name) for name, data in plan.tasks.items()},
    }


def folder_of(plan: Plan, space: Space, subnet: Subnet, seed: int) -> Path:
    """Returns where a network is trained alone."""
    digest = sha256(str(subnet).encode()).hexdigest()[:12]
    return plan.chosen.keep / plan.name / f"alone-{space.name}-{digest}-{seed}"


def _linear(run: Path, data: str, name: str) -> dict[str, float]:
    options = ProbeOptions(
        checkpoint=run, subnet=("max",), data=data, judge=("linear",), folds=2, out=run / name
    )
    return {one.measure: one.value for one in probe(options)}


def parser() -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", help=f"folder of sets, or {DIGITS}")
    parser.add_argument("--pretrain", default="cifar10", help="set that networks are trained on")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="sets that judge")
    parser.add_argument("--space", default="inverted-32")
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES)
    parser.add_argument("--latency-ms", type=float, default=0.15)
    parser.add_argument("--supernet", type=Path, help="a trained run of the same space")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--random", type=int, default=20, help="random networks")
    parser.add_argument("--seeds", type=int, default=3, help="networks that are learned")
    parser.add_argument("--keep", type=Path, default=Path("learned"), help="folder for runs")
    parser.add_argument("--only", default="*", help="units to run, such as 'random-*'")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    return parser


def run_units(
    plan: Plan, journal: Journal, every: Iterable[tuple[str, Callable[[], dict[str, Any]]]]
) -> None:
    """Runs the units that were asked for and have no row yet."""
    done = {(row["plan"], row["unit"]) for row in journal}
    for name, work in every if plan.chosen.data else ():
        if fnmatch(name, plan.chosen.only) and (plan.name, name) not in done:
            print(f"unit {name}", flush=True)
            add_row(journal, {"plan": plan.name, "unit": name, **work()})


def main() -> None:
    plan = Plan(parser().parse_args())
    with open_results("learn") as journal:
        run_units(plan, journal, units(plan))
        report(plan.name, list(journal))


if __name__ == "__main__":
    main()
