"""What correlation.py studies: sets of images, families that they belong to, and units of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwsearch.distance.kinds import Task
from hwsearch.evaluate.judges import JudgeName

FAMILIES = {
    "cifar10": "objects",
    "tiny_imagenet": "objects",
    "pacs_photo": "styles",
    "pacs_sketch": "styles",
    "rsscn7": "land from above",
    "gtsrb": "signs",
    "flowers": "flowers",
    "fashion_mnist": "28 pixels",
    "omniglot": "28 pixels",
    "pneumonia": "28 pixels",
}
"""Labelled sets, and what makes them one family: those of a family are no independent evidence."""

DENSE: dict[str, Task] = {"bccd": "detection", "camvid": "segmentation"}
FOREIGN = {"28 pixels": "rsscn7"}
"""A set of another family for the control of foreign images; mnist where nothing else is named."""

DEVELOPMENT = ("rsscn7", "flowers")
"""Sets that were looked at while the teacher by rank was made."""

COMMITTEE_DEVELOPMENT = ("rsscn7",)
"""The set that was looked at while the committee and the regression on it were made."""

RANK, COMMITTEE, LISTED = "-rank", "-committee", "-others"
"""How units end that repeat another one with more to compare."""


@dataclass(frozen=True)
class Unit:
    """One study.

    Attributes:
        name: Unique; a row is known by it.
        run: The supernet.
        data: Labelled images.
        images: Unlabelled images of the same domain.
        foreign: Unlabelled images of another one.
        task: What the labels are.
        judge: Who says how good a network is.
        bins: Bins of latency.
        per_bin: Networks in each.
        family: What other sets it belongs to.
        teacher: What networks are compared with.
        development: Whether the set was looked at while that was made.
        others: Units of sets of other families whose judgements are one more control.
    """

    name: str
    run: Path
    data: str
    images: str
    foreign: str
    task: Task
    judge: JudgeName
    bins: int
    per_bin: int
    family: str
    teacher: str = "max"
    development: bool = False
    others: tuple[str, ...] = ()


def plan(data: Path, runs: list[Path]) -> Iterator[Unit]:
    """Yields all units, each with every teacher, then those that need others before them."""
    units = [*_with_the_largest(data, runs)]
    by_rank = [_taught(unit, RANK, DEVELOPMENT) for unit in units]
    by_committee = [_taught(unit, COMMITTEE, COMMITTEE_DEVELOPMENT) for unit in units]
    for each in zip(units, by_rank, by_committee, strict=True):
        yield from each
    for unit, ranked in zip(units, by_rank, strict=True):
        if unit.judge == "linear":
            others = tuple(
                one.name
                for one in units
                if (one.run, one.judge) == (unit.run, "linear") and one.family != unit.family
            )
            yield replace(ranked, name=f"{unit.name}{LISTED}", others=others)


def _taught(unit: Unit, by: str, development: Sequence[str]) -> Unit:
    looked_at = any(f"-{name}-" in unit.name for name in development)
    return replace(unit, name=f"{unit.name}{by}", teacher=by[1:], development=looked_at)


def _with_the_largest(data: Path, runs: list[Path]) -> Iterator[Unit]:
    """Yields the units whose teacher is the largest network, the cheap judges first."""
    for run in runs:
        for name in FAMILIES:
            yield _classes(data, run, name, "linear", (3, 100))
        for name, task in DENSE.items():
            images = str(data / name / "images")
            labels, foreign = str(data / name), _shards(data, "rsscn7", "train")
            unit = f"{run.name}-{name}-head"
            yield Unit(unit, run, labels, images, foreign, task, "head", 3, 60, name)
        for judge in ("alone", "finetune"):
            for name in ("rsscn7", "flowers", "gtsrb", "pacs_photo"):
                yield _classes(data, run, name, judge, (1, 30))


def _classes(data: Path, run: Path, name: str, judge: JudgeName, size: tuple[int, int]) -> Unit:
    family = FAMILIES[name]
    every, unlabelled = _shards(data, name, "t*"), _shards(data, name, "train")
    foreign = _shards(data, FOREIGN.get(family, "mnist"), "train")
    unit = f"{run.name}-{name}-{judge}"
    task: Task = "classification"
    return Unit(unit, run, every, unlabelled, foreign, task, judge, *size, family)


def _shards(data: Path, name: str, part: str) -> str:
    return str(data / name / f"{part}-*.tar.gz")
