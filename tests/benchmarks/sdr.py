"""What a step of a path costs beside a step of one network.

    python tests/benchmarks/sdr.py --space bottleneck-32^4 --levels 2 --batch 32

times SimSiam steps in turns and adds a row to results/sdr.jsonl: of a leaf's path, with and without
what it learns from the frozen network, and of that leaf's network alone, all over a step of the
whole network; and the most memory that a process of each takes. Whether paths
pay is asked by sdr_evidence.py.
"""

import argparse
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rounds import ratio
from rows import add_row, open_results
from training_setting import Setting

from hwsearch.checkpoint import build_method
from hwsearch.clusters.paths import path_of
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.paths import path_dims
from hwsearch.train.hardware import Hardware
from hwsearch.train.schedule import PATH, Schedule
from hwsearch.train.trainer import StepSettings, Trainer

HEADS = MethodSettings(projection_hidden=512, projection=256, predictor_hidden=128)
HARDWARE = Hardware("cpu", "fp32", channels_last=True)
SIDES = {"whole": None, "path": 1.0, "untaught": 0.0, "alone": None}
"""What is timed, and the weight of what it learns from the frozen network."""


class Leaf(Schedule):
    """Trains the path of one leaf in every step."""

    def subnets_at(self, step: int, space: Space):
        """Yields the network, whose groups are the first ones of all stages, if there are paths."""
        levels = len(path_dims(space))
        free = levels and len(path_dims(space)[0].choices) > 1
        yield PATH, path_of((0,) * levels, levels, space) if free else space.maximum


def trainer_of(side: str, setting: Setting) -> Trainer:
    """Builds a trainer of one side."""
    space = setting.space
    if side in ("whole", "alone"):
        groups = len(path_dims(space))
        leaf = path_of((0,) * groups, groups, space)
        space = get_space(f"{space.name}[{leaf if side == 'alone' else 'max'}]")
    settings = replace(HEADS, follow_start=SIDES[side])
    method = setting.placed(build_method(space, "simsiam", settings, seed=0, residual_scale=1.0))
    steps = StepSettings(
        Leaf(10**6, 0.01, 0, 0, "choices", 0), optimizer="sgd", weight_decay=1e-4, clip_norm=None
    )
    return Trainer(method, space, steps, setting.hardware)


def views_of(setting: Setting) -> Views:
    """Returns random views."""
    return Views(setting.images(), setting.images(), torch.arange(setting.batch), 0)


def peak_mib(side: str, setting: Setting) -> int:
    """Returns the most MiB that a process takes which does two steps of one side."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_take_steps, (side, setting.space.name, setting.batch))


def _take_steps(side: str, space: str, batch: int) -> int:
    torch.set_num_threads(1)
    setting = Setting(get_space(space), batch, HARDWARE, rounds=1)
    trainer, views = trainer_of(side, setting), views_of(setting)
    for _ in range(2):
        trainer.run_step(views)
    # Not getrusage: a child starts with its parent's maximum.
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) >> 10


def measure(setting: Setting, levels: int) -> dict[str, Any]:
    """Returns the row of a space."""
    views, space = views_of(setting), setting.space
    trainers = {side: trainer_of(side, setting) for side in SIDES}
    found = setting.time(
        **{side: lambda one=one: one.run_step(views) for side, one in trainers.items()}
    )
    weights = {
        side: sum(p.numel() for p in one.method.encoder("online").supernet.parameters())
        for side, one in trainers.items()
    }
    leaves = (len(path_dims(space)[0].choices) - 1) ** levels
    return {
        "space": space.name,
        "leaves": leaves,
        "batch": setting.batch,
        "rounds": setting.rounds,
        "whole in ms": round(1e3 * float(sorted(found["whole"])[setting.rounds // 2]), 1),
        **{f"{side} over whole": ratio(found, side, "whole") for side in SIDES if side != "whole"},
        "peak memory in MiB": {side: peak_mib(side, setting) for side in SIDES},
        "parameters of all paths": weights["path"],
        "parameters of as many networks alone": leaves * weights["alone"],
    }


def main() -> None:
    """Measures one space."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32^4")
    parser.add_argument("--levels", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    setting = Setting(get_space(given.space), given.batch, HARDWARE, given.rounds)
    with open_results("sdr") as journal:
        figures = measure(setting, given.levels)
        print(figures)
        add_row(journal, figures)


if __name__ == "__main__":
    main()
