"""How long a study takes, from a few real steps and probes, and how much disk it needs."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from hwsearch.data.sources import open_source
from hwsearch.device import usable_cores
from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.evaluate.linear import fit_linear
from hwsearch.evaluate.named import NamedTask
from hwsearch.kinds import cost_of
from hwsearch.selfsup.settings import resolve
from hwsearch.study.networks import Network
from hwsearch.study.plan import Plan
from hwsearch.study.work import Unit, labelled
from hwsearch.train.loop import rehearse

STEPS = 3
"""Steps of each training that is tried."""

IMAGES = 400
"""Most images of each probe that is tried."""

STATES = 4
"""Copies of the weights in a checkpoint at most: own, a teacher's, and two of the optimiser."""

_VERDICT_BYTES = 6
"""Of one image in the journal: a bit and a float32, as text."""


@dataclass(frozen=True)
class Line:
    """Seconds of any network, between those of a small and a large one.

    Attributes:
        macs: Multiply-accumulates of the two.
        seconds: What they took.
    """

    macs: tuple[int, int]
    seconds: tuple[float, float]

    @classmethod
    def through(cls, networks: Sequence[Network], measure: Callable[[Network], float]) -> "Line":
        """Measures the smallest and the largest of some networks."""
        small, large = (find(networks, key=lambda one: one.macs) for find in (min, max))
        first = measure(small)
        last = first if large.macs == small.macs else measure(large)
        return cls((small.macs, large.macs), (first, last))

    def at(self, macs: int) -> float:
        """Interpolates between the two by multiply-accumulates."""
        (small, large), (first, last) = self.macs, self.seconds
        share = (macs - small) / (large - small) if large > small else 0.0
        return first + share * (last - first)


@dataclass(frozen=True)
class Estimate:
    """What the work that is left takes.

    Attributes:
        training_seconds: Of one core, for all trainings; None if nothing was tried.
        probe_seconds: Likewise, for all probes.
        processes: How many work at once; None on a cluster.
        disk_mb: What the folder will take, journal and kept weights.
        peak_disk_mb: Beside it, while trainings are under way.
        free_mb: What is free on the disk.
    """

    training_seconds: float | None
    probe_seconds: float | None
    processes: int | None
    disk_mb: float
    peak_disk_mb: float
    free_mb: float

    @property
    def core_hours(self) -> float | None:
        """Hours of one core."""
        if self.training_seconds is None or self.probe_seconds is None:
            return None
        return (self.training_seconds + self.probe_seconds) / 3600


def processes_of(plan: Plan) -> int:
    """Returns how many processes work at once, here."""
    return plan.options.processes or (1 if plan.options.device == "cuda" else usable_cores())


def estimate(plan: Plan, trainings: Sequence[Unit], probes: Sequence[Unit]) -> Estimate:
    """Tries a few steps and probes of the smallest and the largest networks, if asked for."""
    tried = plan.options.trial or plan.options.dry_run
    processes = None if plan.options.ray else processes_of(plan)
    running = min(processes or len(trainings), len(trainings))
    weights = [_checkpoint_mb(plan, unit.network) for unit in trainings]
    counts = Counter(unit.task for unit in probes)
    verdicts = sum(counts[task] * _verdict_mb(plan, task) for task in plan.tasks)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return Estimate(
            _training_seconds(plan, trainings) if tried else None,
            _probe_seconds(plan, probes) if tried else None,
            processes,
            sum(weights) + verdicts,
            STATES * sum(sorted(weights)[len(weights) - running :]),
            shutil.disk_usage(_existing(plan.options.out)).free / 1e6,
        )
    finally:
        torch.set_num_threads(threads)


def _training_seconds(plan: Plan, trainings: Sequence[Unit]) -> float:
    """Tries two networks of each family, as a multiply-accumulate takes longer in some."""
    options, total = plan.options, 0.0
    for family in dict.fromkeys(unit.network.family for unit in trainings):
        units = [unit for unit in trainings if unit.network.family == family]
        line = Line.through(
            [unit.network for unit in units],
            lambda network: rehearse(options.train_options(network, 0, options.out), steps=STEPS),
        )
        total += plan.steps * sum(line.at(unit.network.macs) for unit in units)
    return total


def _probe_seconds(plan: Plan, probes: Sequence[Unit]) -> float:
    total = 0.0
    for task in plan.tasks:
        if networks := [unit.network for unit in probes if unit.task == task]:
            line = Line.through(networks, partial(_probe_once, plan, task))
            total += sum(line.at(network.macs) for network in networks)
    return total


@torch.inference_mode()
def _probe_once(plan: Plan, task: NamedTask, network: Network) -> float:
    """Returns the seconds that a probe takes, from one classifier on a part of the images."""
    images = labelled(task.source, plan.side, plan.options.limit)
    count = min(len(images), IMAGES)
    net = fresh_network(network.space, network.space.maximum, 0).eval()
    began = time.monotonic()
    batches = images.target.inputs(net.lowered[0].in_side, limit=count)
    embeddings = torch.cat([net(torch.from_numpy(x_NCHW)).embedding for x_NCHW in batches])
    seen = time.monotonic()
    fit_linear(embeddings.numpy().astype("f8"), images.labels[:count])
    fitted = time.monotonic()
    share = len(images) / count
    folds = plan.options.folds
    return share * ((seen - began) + (fitted - seen) * (folds - 1))


def _checkpoint_mb(plan: Plan, network: Network) -> float:
    """Returns the size of the weights of a network and its heads, a queue left out."""
    options = plan.options.train_options(network, 0, plan.options.out)
    told = resolve(options.method, options.method_options(), images=1, batch=1)
    width = cost_of(network.space.lower(network.space.maximum)[-1]).out_shape[0]
    head = told.projection_hidden * (width + told.projection)
    return 4 * (network.params + head) / 1e6


def _verdict_mb(plan: Plan, task: NamedTask) -> float:
    return _VERDICT_BYTES * min(len(open_source(task.source)), plan.options.limit) / 1e6


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
