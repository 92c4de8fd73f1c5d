"""What scoring one network costs, over what its plain forward passes cost.

    python tests/benchmarks/distance_cost.py --space bottleneck-32 --images 512

times, in turns, the distance of networks with random weights, and the two passes that no distance
can do without: the extracted net over the scoring images, and in training mode over the calibration
images, both from tensors that lie ready. A row of results/distance_cost.jsonl has the seconds of
both and the ratio, median of the rounds, with its interval: processor seconds of one thread, which
other work on the machine does not lengthen. The teacher is computed before; --teacher committee
takes eight networks for one.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from rounds import ratio, take_turns
from rows import add_row, open_results
from torch import Tensor

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.distance import (
    DistanceKind,
    SupernetStudents,
    Teacher,
    choose_kind,
    choose_stages,
    load_target,
    open_judge,
)
from hwsearch.distance.best_teacher import MEMBERS
from hwsearch.distance.committee import Committee
from hwsearch.distance.images import BATCH
from hwsearch.distance.kinds import Task
from hwsearch.nn import StaticNet
from hwsearch.progress import say
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

TASKS: tuple[Task, ...] = ("classification", "detection", "segmentation")


def random_run(space: Space) -> Run:
    """Returns a run that was never trained; the cost does not depend on weights."""
    settings = MethodSettings(queue=64)
    method = build_method(space, "moco-v2", settings, seed=0, residual_scale=1.0)
    header = Header(space.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    return Run(Path(), space, method.requires_grad_(False), header, "random")


@torch.no_grad()
def forward(net: StaticNet, inputs: list[Tensor]) -> None:
    """Runs a network over batches."""
    for x_BCHW in inputs:
        net(x_BCHW)


def measure(
    students: SupernetStudents, teacher: Teacher, subnet: Subnet, task: Task, rounds: int
) -> dict[str, object]:
    """Times one network."""
    kind: DistanceKind = choose_kind("auto", task, students, teacher)
    stages = choose_stages((), kind, task, students)
    side = students.space.input_side(subnet)
    judge = open_judge(kind, students, teacher, stages=stages)
    scored, calibrating = (
        [torch.from_numpy(x) for x in students.images.inputs(side, batch=batch, limit=limit)]
        for batch, limit in (
            (BATCH, None),
            (students.calibration_batch, students.calibration_images),
        )
    )
    plain = students.network(subnet)
    training = students.run.supernet().extract(subnet).train()
    contestants = {
        "distance": lambda: judge(subnet),
        "scoring": lambda: forward(plain, scored),
        "calibration": lambda: forward(training, calibrating),
    }
    seconds = take_turns(contestants, rounds, lambda: None, clock=time.process_time)
    seconds["plain"] = seconds["scoring"] + seconds["calibration"]
    return {
        "distance": " ".join(map(str, (kind, *stages))),
        "scoring_images": len(students.images),
        "calibration_images": students.calibration_images,
        "rounds": rounds,
        **{f"{name}_seconds": round(float(np.median(s)), 4) for name, s in seconds.items()},
        "ratio": ratio(seconds, "distance", "plain"),
    }


def main() -> None:
    """Measures networks of a space for every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32", help="whose networks")
    parser.add_argument("--data", default="sklearn:digits", help="images")
    parser.add_argument("--images", type=int, default=512, help="most of them")
    parser.add_argument("--subnets", nargs="+", default=["min", "max"], help="which networks")
    parser.add_argument("--teacher", default="largest", choices=("largest", "committee"))
    parser.add_argument("--rounds", type=int, default=7, help="repeats")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = get_space(arguments.space)
    images = load_target(arguments.data, space.input_shape[1], limit=arguments.images)
    students = SupernetStudents(random_run(space), images)
    teacher = Teacher(students, space.maximum)
    if arguments.teacher == "committee":
        rng = np.random.default_rng(0)
        members = [space.sample(rng) for _ in range(MEMBERS)]
        teacher = Teacher(Committee(students, members), space.maximum)
    with open_results("distance_cost") as journal:
        for task, subnet in product(arguments.tasks, map(space.parse, arguments.subnets)):
            figures = measure(students, teacher, subnet, task, arguments.rounds)
            row = {"space": space.name, "subnet": str(subnet), "task": task}
            row |= {"teacher": arguments.teacher, **figures}
            say(str(row))
            add_row(journal, row)


if __name__ == "__main__":
    main()
