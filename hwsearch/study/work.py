"""What a process of a study does: trains one network, or probes it on one task."""

import json
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, load_run
from hwsearch.distance import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import JudgeSettings, open_judges
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.named import NamedTask
from hwsearch.journal import Busy, Json
from hwsearch.nn.place import find_place
from hwsearch.progress import console
from hwsearch.study.networks import Network
from hwsearch.study.options import StudyOptions
from hwsearch.train import train
from hwsearch.train.loop import METRICS_NAME

RUNS = "runs"
PATIENCE_SECONDS = 30.0
"""How long a process waits for one before it, of a study that was killed, to leave a run."""

_TASKS_HELD = 2
"""Tasks whose images a process holds; units come task by task."""

_NOTED = ("loss", "embedding_std", "effective_rank")
"""What the last line of a training's log gives to the journal."""


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes:
        network: What is trained or probed.
        seed: Of the run.
        task: What it is probed on; None trains it.
    """

    network: Network
    seed: int
    task: NamedTask | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """Names the unit in the journal: network, seed, and task or nothing."""
        return self.network.name, self.seed, self.task.name if self.task else ""

    def row(self) -> Json:
        """Starts the unit's row of the journal."""
        return dict(zip(("network", "seed", "task"), self.key, strict=True))

    def __str__(self) -> str:
        what = "training" if self.task is None else f"the probe on {self.task.name}"
        return f"{what} of {self.network.label}, seed {self.seed}"


def lost(unit: Unit, how: str) -> Json:
    """Returns the row of a unit that processes died of."""
    return unit.row() | {"failed": how}


def run_folder(out: Path, network: Network, seed: int) -> Path:
    """Returns the folder of the run of a network and a seed; hwsearch probe and others open it."""
    digest = sha256(network.name.encode()).hexdigest()[:10]
    return out / RUNS / f"{Path(network.family).name}-{digest}-seed{seed}"


@dataclass(frozen=True)
class OpenWork:
    """Gives a process what does the units of a study.

    Attributes:
        options: Of the study, with absolute paths, and what is resolved from them.
    """

    options: StudyOptions

    def __call__(self) -> Callable[[Unit], Json]:
        """Makes this process one that works on one core and says nothing."""
        torch.set_num_threads(1)
        console.quiet = True
        return self.do

    def do(self, unit: Unit) -> Json:
        """Does a unit and returns its row; one that fails has its cause in the row."""
        began = time.monotonic()
        try:
            found = self._probe(unit, unit.task) if unit.task else self._train(unit)
        except HwsearchError as error:
            return lost(unit, str(error))
        except Exception as error:  # a study goes on without the network
            last = traceback.format_exc().strip().splitlines()[-3:]
            return lost(unit, f"{type(error).__name__}: {error} ({' '.join(map(str.strip, last))})")
        return unit.row() | found | {"seconds": round(time.monotonic() - began, 3)}

    def _train(self, unit: Unit) -> Json:
        folder = run_folder(self.options.out, unit.network, unit.seed)
        options = self.options.train_options(unit.network, unit.seed, folder)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                train(options)
                break
            except Busy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        return keep_weights(folder)

    def _probe(self, unit: Unit, task: NamedTask) -> Json:
        run = load_run(run_folder(self.options.out, unit.network, unit.seed))
        images = labelled(task.source, run.space.input_shape[1], self.options.limit)
        students = SupernetStudents(run, images.target, place=find_place(self.options.device))
        settings = JudgeSettings(folds=self.options.folds)
        judge = open_judges(("linear",), students, images, settings)["linear"]
        return {"verdict": judge(run.space.maximum, unit.seed).packed()}


def keep_weights(folder: Path) -> Json:
    """Takes what only training needs out of a finished run's checkpoint.

    Returns:
        What the run's rows of the journal tell of it.
    """
    checkpoint = Checkpoint.load(folder)
    if checkpoint.optimiser:
        checkpoint = replace(checkpoint, optimiser={})
        checkpoint.save(folder)
    lines = (folder / METRICS_NAME).read_text().splitlines()
    told = json.loads(lines[-1]) if lines else {}
    noted = {name: told[name] for name in _NOTED if name in told}
    return {"steps": checkpoint.header.step} | noted


def has_weights(folder: Path) -> bool:
    """Tells whether a run's weights are kept."""
    return (folder / CHECKPOINT_NAME).is_file()


def discard(folder: Path) -> None:
    """Removes a run."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


@lru_cache(maxsize=_TASKS_HELD)
def labelled(source: str, side: int, limit: int) -> LabelledImages:
    """Reads the labelled images of a task, which are kept."""
    return load_labelled(source, side, limit=limit)
