"""The plan of a study: what it is, what its journal holds already, and what is left to do."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from hwsearch.data.sources import open_source
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.linear import PENALTIES
from hwsearch.evaluate.named import NamedTask, fingerprints_of
from hwsearch.journal import Json, differing_fields, read_begun
from hwsearch.nn.place import Device
from hwsearch.study.networks import Network
from hwsearch.study.options import RECIPE, StudyOptions
from hwsearch.study.work import Unit, has_weights, labelled, run_folder
from hwsearch.train.hardware import choose_hardware
from hwsearch.train.recipe import Amp

FILE, KIND = "study.jsonl", "study"
OTHER = "Repeat the first run's options, or use another --out folder"


@dataclass(frozen=True, eq=False)
class Plan:
    """A study with everything resolved that its options leave open.

    Attributes:
        options: With absolute paths, the device, the arithmetic and the passes over the images.
        header: What must be equal for results to stand in one journal.
        networks: What is trained.
        tasks: What judges.
        task_images: Fingerprint of the images of each task, by name.
        steps: Of one training.
    """

    options: StudyOptions
    header: Json
    networks: tuple[Network, ...]
    tasks: tuple[NamedTask, ...]
    task_images: dict[str, str]
    steps: int

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.options.out / FILE

    @property
    def side(self) -> int:
        """Height and width in pixels of the largest network's images."""
        return max(network.space.input_shape[1] for network in self.networks)

    def units(self) -> Iterator[Unit]:
        """Yields all trainings, seed by seed, then all probes, task by task."""
        runs = [(network, seed) for seed in self.options.seeds for network in self.networks]
        yield from (Unit(*run) for run in runs)
        yield from (Unit(*run, task) for task in self.tasks for run in runs)

    def rows(self) -> list[Json]:
        """Reads the rows that an earlier run of the study has left, changing nothing.

        Raises:
            HwsearchError: If they are of another study.
        """
        header, rows = read_begun(self.journal, KIND)
        if not header:
            return []
        if fields := differing_fields(header, json.loads(json.dumps(self.header))):
            told = f"the folder holds a study with other options ({'; '.join(fields)})"
            raise HwsearchError(told, where=self.journal, fix=OTHER)
        return rows


@dataclass(frozen=True, eq=False)
class Known:
    """What the journal tells of units: the last row of each.

    Attributes:
        rows: By key of the unit.
        task_images: Fingerprint of the images of each task, by name.
        digests: Of each network, by name; journals of an earlier hwsearch have none.
    """

    rows: dict[tuple[str, int, str], Json]
    task_images: dict[str, str]
    digests: dict[str, str]

    @classmethod
    def of(cls, rows: Iterable[Json]) -> "Known":
        """Sorts the rows of a journal."""
        found, images, digests = {}, {}, {}
        for row in rows:
            if "images" in row:
                images[row["task"]] = row["images"]
            elif "digest" in row:
                digests[row["network"]] = row["digest"]
            else:
                found[row["network"], row["seed"], row["task"]] = row
        return cls(found, images, digests)

    def has(self, unit: Unit) -> bool:
        """Tells whether a unit was done."""
        return "failed" not in self.rows.get(unit.key, {"failed": ""})

    def cause(self, unit: Unit) -> str | None:
        """Returns why a unit failed, or None."""
        return self.rows.get(unit.key, {}).get("failed")


def make_plan(options: StudyOptions) -> Plan:
    """Resolves what the options leave open.

    Raises:
        HwsearchError: If images are missing or of two tasks, or the hardware is not what was asked
            for.
    """
    source, networks = open_source(options.data), options.read_networks()
    per_epoch = len(source) // options.batch
    if not per_epoch:
        raise HwsearchError(
            f"{len(source)} images are fewer than a batch of {options.batch}",
            where=options.data,
            fix=f"Use --batch {len(source)} or less",
        )
    epochs = options.epochs
    if options.steps is not None:
        epochs = max(1, round(options.steps / per_epoch))
    options = replace(options, amp=_amp_so_far(options))
    first = options.train_options(networks[0], 0, options.out, epochs=epochs)
    hardware = choose_hardware(first)
    options = replace(
        options,
        data=_absolute(options.data),
        tasks=tuple(f"{one.name}={_absolute(one.source)}" for one in options.read_tasks()),
        out=options.out.resolve(),
        epochs=epochs,
        steps=None,
        device=cast(Device, hardware.device),
        amp=cast(Amp, hardware.amp),
    )
    header = {
        "images": source.fingerprint(),
        "recipe": {name: getattr(options, name) for name in (*RECIPE, "epochs", "amp")},
        "probe": {"limit": options.limit, "folds": options.folds, "penalties": PENALTIES},
    }
    tasks = options.read_tasks()
    return Plan(options, header, networks, tasks, fingerprints_of(tasks), epochs * per_epoch)


def _amp_so_far(options: StudyOptions) -> Amp:
    """Returns what was asked for; "auto" is what the runs in the folder have, whatever families."""
    if options.amp != "auto":
        return options.amp
    return read_begun(options.out / FILE, KIND)[0].get("recipe", {}).get("amp", options.amp)


def check_tasks(plan: Plan, known: Known) -> list[NamedTask]:
    """Refuses tasks that have other images than before; returns those that are new, read once.

    Raises:
        HwsearchError: If images have changed, or a new task cannot judge.
    """
    changed = [
        task.name
        for task in plan.tasks
        if known.task_images.get(task.name, plan.task_images[task.name])
        != plan.task_images[task.name]
    ]
    if changed:
        raise HwsearchError(
            f"the images of task '{changed[0]}' are others than before",
            where=plan.journal,
            fix="Restore them, give the task another name, or use another --out",
        )
    new = [task for task in plan.tasks if task.name not in known.task_images]
    for task in new:
        labelled(task.source, plan.side, plan.options.limit).folds(plan.options.folds)
    return new


def check_networks(plan: Plan, known: Known) -> list[Network]:
    """Refuses networks that are others than before; returns those that are new.

    Raises:
        HwsearchError: If a name stands for another network, as where its cells were learned again.
    """
    for network in plan.networks:
        if known.digests.get(network.name, network.digest) != network.digest:
            raise HwsearchError(
                f"'{network.name}' is another network than before",
                where=plan.journal,
                fix="Restore its family, give that another name, or use another --out",
            )
    return [network for network in plan.networks if network.name not in known.digests]


def units_left(plan: Plan, known: Known) -> tuple[list[Unit], list[Unit]]:
    """Returns the trainings and the probes that are left.

    A run is trained again only if a probe is left and its weights were discarded or lost.
    """

    def given_up(unit: Unit) -> bool:
        return known.cause(unit) is not None and not plan.options.retry_failed

    trainings, probes = [], []
    for unit in plan.units():
        training = replace(unit, task=None)
        if unit.task and not (known.has(unit) or given_up(unit) or given_up(training)):
            probes.append(unit)
    asked = {replace(unit, task=None) for unit in probes}
    for unit in plan.units():
        kept = has_weights(run_folder(plan.options.out, unit.network, unit.seed))
        needed = not known.has(unit) or (unit in asked and not kept)
        if unit.task is None and needed and not given_up(unit):
            trainings.append(unit)
    return trainings, probes


def _absolute(source: str) -> str:
    """Makes a source absolute if it is a path or a glob of one; a built-in set stays."""
    if ":" in source:
        return source
    return str(Path(source).expanduser().absolute())
