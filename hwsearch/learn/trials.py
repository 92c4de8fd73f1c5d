"""Trials: finalists trained alone for some steps, which tell better than shared weights.

As successive halving (arXiv 1603.06560) does, they are judged long before their end.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hwsearch.checkpoint import Header
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.learn.options import LearnOptions
from hwsearch.nn.processes import rank, wait_for_all
from hwsearch.progress import say
from hwsearch.selfsup.settings import resolve
from hwsearch.space import Subnet
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware
from hwsearch.train.identity import CONFIG_NAME, header_of
from hwsearch.train.loop import METRICS_NAME, carry_out
from hwsearch.train.metrics import Metrics
from hwsearch.train.passes import PassSettings
from hwsearch.train.recipe import RunOptions
from hwsearch.train.schedule import Schedule
from hwsearch.train.session import Session
from hwsearch.train.trainer import StepSettings

FOLDER, RESULTS = "finalists", "finalists.json"
JUDGED = 0.5
"""Last share of a trial's steps by whose mean loss it is judged."""


@dataclass(frozen=True)
class Trial:
    """What one finalist came to.

    Attributes:
        subnet: The network.
        steps: How long it was trained.
        loss: Mean of the last steps, each on images that all finalists see in it.
    """

    subnet: Subnet
    steps: int
    loss: float


class TrialSession(Session):
    """A run of one finalist, which goes on when learning does."""

    verb = "learn"

    @property
    def title(self) -> str:
        """Which finalist it is."""
        return f"finalist {self._options.out.name}"

    @property
    def config(self) -> Path:
        """That of the whole run."""
        return self._options.out.parents[2] / CONFIG_NAME


def run_trials(
    options: LearnOptions, finalists: Sequence[Subnet], source: Source, hardware: Hardware
) -> None:
    """Trains finalists, each in a folder of its own that is gone at the end, and notes losses.

    All processes of a run take part.

    Args:
        options: Of the whole run.
        finalists: Which networks; the file of results is of these alone.
        source: The images; all of them, as for the network that is learned.
        hardware: Where and how to compute.

    Raises:
        HwsearchError: If one diverges; the same command goes on after it.
    """
    steps = _steps(options, source)
    known = read_trials(options.out, options.space)
    if known and (known[0].steps, [trial.subnet for trial in known]) == (steps, [*finalists]):
        return
    folder = options.out / FOLDER / f"{steps}-steps"
    places = [folder / f"{number}-of-{len(finalists)}" for number in range(1, len(finalists) + 1)]
    for place, subnet in zip(places, finalists, strict=True):
        _train(_options(options, subnet, place), steps, source, hardware)
    if rank() == 0:
        rows = [
            {"subnet": subnet.as_dict(), "steps": steps, "loss": _loss(place / METRICS_NAME)}
            for subnet, place in zip(finalists, places, strict=True)
        ]
        write_atomic(options.out / RESULTS, json.dumps(rows, indent=2) + "\n")
        shutil.rmtree(options.out / FOLDER)
    wait_for_all()


def read_trials(out: Path, space: str) -> list[Trial]:
    """Reads what the finalists of a run came to, in the order in which they were chosen.

    Args:
        out: Folder of the run.
        space: Name of its space.

    Returns:
        Nothing if none was trained.

    Raises:
        HwsearchError: If the file is damaged.
    """
    path = out / RESULTS
    if not path.exists():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return [
            Trial(get_space(space).subnet(**row["subnet"]), int(row["steps"]), float(row["loss"]))
            for row in rows
        ]
    except (ValueError, TypeError, KeyError) as cause:
        raise HwsearchError(
            "this is no list of finalists", where=path, fix="Delete it: they are trained again"
        ) from cause


def _steps(options: LearnOptions, source: Source) -> int:
    whole = len(source) // options.batch * options.epochs
    return max(2, round(options.finalist_share * whole))


def _options(options: LearnOptions, subnet: Subnet, out: Path) -> RunOptions:
    of_run = {field.name: getattr(options, field.name) for field in fields(RunOptions)}
    its = {"space": f"{options.space}[{subnet}]", "out": out, "resume": out.exists()}
    return RunOptions(**of_run | its | {"log_steps": 1, "tensorboard": False, "monitor": None})


def _train(options: RunOptions, steps: int, source: Source, hardware: Hardware) -> None:
    given = options.method_options()
    settings = resolve(options.method, given, images=len(source), batch=options.batch)
    header = header_of(
        options, source, hardware, settings=settings, steps=steps, more={"steps": steps}
    )

    def make(metrics: Metrics | None) -> Session:
        common = step_settings(options, _schedule(options, header))
        return TrialSession(options, hardware, header, source, metrics, settings=common)

    carry_out(options, hardware, header, make)


def _schedule(options: RunOptions, header: Header) -> Schedule:
    return Schedule(
        steps=header.steps,
        lr=header.recipe["lr"],
        warmup_steps=round(options.warmup * header.steps),
        random_subnets=0,
        sampling="choices",
        seed=options.seed,
    )


def step_settings(options: RunOptions, schedule: Schedule) -> StepSettings:
    """Returns what the steps of learning or of a trial have in common."""
    return StepSettings(
        schedule=schedule,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        passes=PassSettings(accumulate=options.accumulate),
    )


def _loss(log: Path) -> float:
    losses = pd.read_json(log, lines=True)["loss"].to_numpy()
    return float(np.mean(losses[-max(1, round(JUDGED * len(losses))) :]))


def tell_trials(trials: Sequence[Trial]) -> None:
    """Says how far apart finalists are."""
    losses = np.array([trial.loss for trial in trials])
    say(
        f"{len(trials)} finalists after {trials[0].steps} steps alone: losses {losses.min():.4g} "
        f"to {losses.max():.4g}; the most probable network's is {losses[0]:.4g}"
    )
