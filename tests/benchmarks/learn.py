"""Is a learned network better than random ones of its latency, and does it have that latency?

    python tests/benchmarks/learn.py --data DIR --pretrain cifar10 --tasks cifar10 flowers gtsrb
    python tests/benchmarks/learn.py --data sklearn:digits --epochs 3 --random 4

DIR/NAME holds train-*.tar.gz and test-*.tar.gz. Each unit takes some minutes (an interrupted one
goes on) and leaves a row in results/learn.jsonl; units that have a row are not run again.

    learn-S     learns a network without labels, with seed S
    learned-S   trains that network alone and judges it by a linear classifier on frozen features
    random-I    the same for a random network of equal predicted latency (±2 %)
    like-NAME   the same for an R18-like and an MBv2-like network: the widest of even widths that is
                no slower as measured (elsewhere than on the tables' device: that is predicted to be
                no slower, or of another space has no more multiply-accumulates); else the narrowest
    target-R-Q  learns to the latency of a quantile Q of the space on runtime R, and measures

A report follows: the learned network's place among the random ones, the best of as many random ones
as could be trained in the time that learning took (an oracle: labels choose it), and how far
latencies were off. Measuring needs the device that the tables are of.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from learn_report import report
from rows import add_row, open_results

from hwsearch.evaluate.options import ProbeOptions
from hwsearch.evaluate.probe import probe
from hwsearch.kinds import total_macs
from hwsearch.learn import LearnOptions, learn
from hwsearch.learn.choose import MARGIN
from hwsearch.learn.confirm import elsewhere
from hwsearch.learn.target import LatencyTarget
from hwsearch.profiling.remeasure import remeasure_networks
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space
from hwsearch.train import TrainOptions, train

DIGITS = "sklearn:digits"
RUNTIMES, QUANTILES = ("onnxruntime", "openvino"), (0.2, 0.5, 0.8)
RECIPE: dict[str, Any] = {
    **{"method": "simclr", "batch": 128, "optimizer": "adamw", "lr": 0.002},
    **{"residual_scale": 1.0, "projection_hidden": 512, "tensorboard": False},
}
SMALL: dict[str, Any] = {"batch": 64, "projection_hidden": 256, "flip": False, "crop_min": 0.4}
"""What differs where the images are scikit-learn's digits."""


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        chosen: The command line.
    """

    chosen: argparse.Namespace

    @property
    def space(self) -> Space:
        """The space that networks are learned and drawn from."""
        return get_space(self.chosen.space)

    @property
    def name(self) -> str:
        """Tells rows of different settings apart."""
        where = "digits" if self.chosen.data == DIGITS else self.chosen.pretrain
        return f"{where}-{self.chosen.space}-{self.chosen.latency_ms:g}ms-{self.chosen.epochs}"

    @cached_property
    def target(self) -> LatencyTarget:
        """Where the latency is to be had."""
        return self.target_on(self.chosen.runtime, self.chosen.latency_ms)

    def table(self, runtime: str) -> str:
        """Names the table of a runtime."""
        return f"{self.chosen.space}-{runtime}-fp32-b1-t1"

    def target_on(self, runtime: str, latency_ms: float) -> LatencyTarget:
        """Opens the table of a runtime."""
        return LatencyTarget.open(self.table(runtime), self.space, latency_ms, tables_dir=None)

    @property
    def images(self) -> str:
        """What networks are trained on."""
        if self.chosen.data == DIGITS:
            return DIGITS
        return f"{self.chosen.data}/{self.chosen.pretrain}/train-*.tar.gz"

    @property
    def tasks(self) -> dict[str, str]:
        """Labelled images that networks are judged by."""
        if self.chosen.data == DIGITS:
            return {"digits": DIGITS}
        return {name: f"{self.chosen.data}/{name}/test-*.tar.gz" for name in self.chosen.tasks}

    def recipe(self, out: Path, seed: int) -> dict[str, Any]:
        """Returns options of every training."""
        small = SMALL if self.chosen.data == DIGITS else {}
        told = {"data": self.images, "out": out, "resume": out.exists(), "seed": seed}
        return RECIPE | small | told | {"epochs": self.chosen.epochs, "device": self.chosen.device}


def units(plan: Plan) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields name and work of every unit."""
    for seed in range(plan.chosen.seeds):
        yield f"learn-{seed}", lambda seed=seed: run_learn(plan, seed)
        yield f"learned-{seed}", lambda seed=seed: run_alone(plan, *learned(plan, seed), seed)
    for at, subnet in enumerate(random_networks(plan)):
        yield f"random-{at}", lambda subnet=subnet, at=at: run_alone(plan, plan.space, subnet, at)
    for name, find in (("mbv2", mbv2_like), ("r18", r18_like)):
        yield f"like-{name}", lambda find=find: run_alone(plan, *find(plan), 0)
    for runtime in RUNTIMES:
        for quantile in QUANTILES:
            yield (
                f"target-{runtime}-{quantile:g}",
                lambda runtime=runtime, quantile=quantile: run_target(plan, runtime, quantile),
            )


def run_learn(plan: Plan, seed: int) -> dict[str, Any]:
    """Learns a network; tells what came out and how long it took."""
    out = plan.chosen.keep / plan.name / f"learn-{seed}"
    return _learn(plan, out, plan.chosen.runtime, plan.chosen.latency_ms, seed)


def run_target(plan: Plan, runtime: str, quantile: float) -> dict[str, Any]:
    """Learns to one latency and measures it."""
    every = plan.space.pool(np.random.default_rng(0))
    low = plan.target_on(runtime, plan.chosen.latency_ms).latency.mean_ms(every)
    target_ms = float(np.quantile(low, quantile))
    out = plan.chosen.keep / plan.name / f"target-{runtime}-{quantile:g}"
    return _learn(plan, out, runtime, target_ms, 0)


def _learn(plan: Plan, out: Path, runtime: str, target_ms: float, seed: int) -> dict[str, Any]:
    more = {"table": plan.table(runtime), "latency_ms": target_ms, "space": plan.chosen.space}
    begun, resumed = _clock(plan), out.exists()
    learn(LearnOptions(**plan.recipe(out, seed), **more))
    told = json.loads((out / "learned.json").read_text())
    return told | {"seconds": None if resumed else _clock(plan) - begun}


def _clock(plan: Plan) -> float:
    """Tells seconds: of this process where it computes itself, so that others do not count."""
    return time.monotonic() if plan.chosen.device == "cuda" else time.process_time()


def learned(plan: Plan, seed: int) -> tuple[Space, Subnet]:
    """Returns what was learned with a seed."""
    told = json.loads((plan.chosen.keep / plan.name / f"learn-{seed}/learned.json").read_text())
    return plan.space, plan.space.subnet(**told["subnet"])


def random_networks(plan: Plan) -> Iterator[Subnet]:
    """Yields networks of the target latency, drawn uniformly among those that have it."""
    rng, target = np.random.default_rng(20), plan.target
    for _ in range(plan.chosen.random):
        while True:
            subnet = plan.space.sample(rng)
            ms = target.latency.mean_ms(plan.space.encode(subnet)[None])[0]
            if abs(ms / target.target_ms - 1) <= MARGIN:
                yield subnet
                break


def mbv2_like(plan: Plan) -> tuple[Space, Subnet]:
    """Returns MobileNetV2's expansion 6 and 3×3 kernels, at the largest size that is no slower."""
    fixed = {"expansion": 6, "kernel": 3}
    space = get_space("inverted-32")
    return space, _widest(space, plan, _even(space, fixed))


def r18_like(plan: Plan) -> tuple[Space, Subnet]:
    """Returns ResNet-18's two blocks a stage, likewise."""
    space = get_space("basic-32")
    return space, _widest(space, plan, _even(space, {"depth": 2}))


def _even(space: Space, fixed: dict[str, int]) -> list[Subnet]:
    """Returns networks with some values fixed and all others at the same place of their choices."""
    found = []
    for place in range(3):
        values = {}
        for dim in space.dims:
            kind = dim.name.rstrip("0123456789")
            values[dim.name] = fixed.get(kind, dim.choices[place * (len(dim.choices) - 1) // 2])
        found.append(space.subnet(**values))
    return found


def _widest(space: Space, plan: Plan, networks: Sequence[Subnet]) -> Subnet:
    """Returns the last that is not over the target; the smallest if all are."""
    cost: dict[Subnet, float] = measured_ms(plan, space, networks)
    most = plan.target.target_ms
    if not cost and space == plan.space:
        cost = {s: plan.target.latency.predict_subnet(s).mean_ms[0] for s in networks}
    elif not cost:
        cost = {s: total_macs(space.lower(s)) for s in networks}
        most = total_macs(plan.space.lower(learned(plan, 0)[1]))
    return [networks[0], *(s for s in networks if cost[s] <= most)][-1]


def measured_ms(plan: Plan, space: Space, networks: Sequence[Subnet]) -> dict[Subnet, float]:
    """Measures networks of any space as those of the table were; none on another device."""
    table = plan.target.table
    if elsewhere(table):
        return {}
    table = replace(table, header=replace(table.header, space=space.name))
    found = remeasure_networks(networks, table, budget_seconds=4 + 6.0 * len(networks))
    return {subnet: one.latency_ms for subnet, one in found.items()}


def run_alone(plan: Plan, space: Space, subnet: Subnet, seed: int) -> dict[str, Any]:
    """Trains one network alone and judges it on every task."""
    digest = sha256(str(subnet).encode()).hexdigest()[:12]
    out = plan.chosen.keep / plan.name / f"alone-{space.name}-{digest}-{seed}"
    begun, resumed = _clock(plan), out.exists()
    train(TrainOptions(space=f"{space.name}[{subnet}]", **plan.recipe(out, seed)))
    seconds = None if resumed else _clock(plan) - begun
    row: dict[str, Any] = {"network": f"{space.name}[{subnet}]", "seconds": seconds}
    row["macs"] = total_macs(space.lower(subnet))
    row["measured_ms"] = measured_ms(plan, space, [subnet]).get(subnet)
    if space == plan.space:
        row["predicted_ms"] = float(plan.target.latency.predict_subnet(subnet).mean_ms[0])
    row["results"] = {name: _linear(out, data, name) for name, data in plan.tasks.items()}
    return row


def _linear(run: Path, data: str, name: str) -> dict[str, float]:
    options = ProbeOptions(
        checkpoint=run, subnet=("max",), data=data, judge=("linear",), folds=2, out=run / name
    )
    return {one.measure: one.value for one in probe(options)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", help=f"folder of sets, or {DIGITS}")
    parser.add_argument("--pretrain", default="cifar10", help="set that networks are trained on")
    parser.add_argument("--tasks", nargs="+", default=["cifar10", "flowers", "gtsrb"])
    parser.add_argument("--space", default="inverted-32")
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES)
    parser.add_argument("--latency-ms", type=float, default=0.15)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--random", type=int, default=20, help="random networks")
    parser.add_argument("--seeds", type=int, default=3, help="networks that are learned")
    parser.add_argument("--keep", type=Path, default=Path("learned"), help="folder for runs")
    parser.add_argument("--only", default="*", help="units to run, such as 'random-*'")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    plan = Plan(parser.parse_args())
    with open_results("learn") as journal:
        done = {(row["plan"], row["unit"]) for row in journal}
        for name, work in units(plan) if plan.chosen.data else ():
            if fnmatch(name, plan.chosen.only) and (plan.name, name) not in done:
                print(f"unit {name}", flush=True)
                add_row(journal, {"plan": plan.name, "unit": name, **work()})
        report(plan.name, list(plan.tasks), list(journal))


if __name__ == "__main__":
    main()
