"""Distances and controls by name, and how each is opened."""

from functools import partial
from pathlib import Path
from typing import Literal

from hwsearch.distance.base import DeliveredDistance, Judge
from hwsearch.distance.committee import Committee
from hwsearch.distance.controls.fresh import with_random_weights
from hwsearch.distance.controls.naswot import Naswot
from hwsearch.distance.controls.score import Falling, Score
from hwsearch.distance.controls.sizes import Chance, Sizes
from hwsearch.distance.controls.spectrum import Spectrum
from hwsearch.distance.controls.ssl_loss import SslLoss
from hwsearch.distance.controls.synflow import SynFlow
from hwsearch.distance.controls.zico import ZiCo
from hwsearch.distance.dense import DenseDistance, default_stages
from hwsearch.distance.others import AmongOthers
from hwsearch.distance.pooled import TeacherDistance
from hwsearch.distance.students import Students, SupernetStudents, seen_students
from hwsearch.distance.teacher import Teacher
from hwsearch.errors import HwsearchError

Task = Literal["classification", "detection", "segmentation"]
"""What an engine is for."""

Compared = Literal["projection", "relation", "regression", "queue", "dense"]
"""Distances to a teacher."""

Control = Literal[
    "random",
    "parameters",
    "macs",
    "depth",
    "random-weights",
    "ssl-loss",
    "naswot",
    "synflow",
    "zico",
    "rankme",
    "alpha-req",
]
"""What a distance must beat: chance, sizes, a supernet that was never trained, and scores that
others have proposed."""

DistanceKind = Literal[Compared, Control]
"""What orders networks, lower is better."""


def choose_kind(
    asked: Literal["auto", DistanceKind], task: Task, students: Students, teacher: Teacher
) -> DistanceKind:
    """Returns the distance that was asked for, or the one that fits the task.

    Raises:
        HwsearchError: If the networks or the teacher do not give what it compares.
    """
    projected = (
        isinstance(students, SupernetStudents)
        and teacher.students is students
        and students.has_projections
    )
    if asked in ("projection", "queue") and not projected:
        raise HwsearchError(
            f"--distance {asked} compares a supernet, trained with a projection head, with its "
            "own largest network",
            fix="Use --distance relation",
        )
    if asked != "auto":
        return asked
    if task != "classification":
        return "dense"
    if isinstance(teacher.students, Committee):
        return "regression"
    # Heads were trained towards the largest network: beside another one, relations tell more.
    space = students.space
    largest = teacher.subnet == space.canonical(space.maximum)
    return "projection" if projected and largest else "relation"


def choose_stages(
    given: tuple[int, ...], kind: DistanceKind, task: Task, students: Students
) -> tuple[int, ...]:
    """Returns the stages that a distance compares; none but for a dense one.

    Raises:
        HwsearchError: If the networks show no feature maps and the distance compares them.
    """
    dense = kind == "dense" or (kind == "random-weights" and task != "classification")
    if dense:
        levels = seen_students(students).levels
        dense_task = "detection" if task == "classification" else task
        return given or default_stages(dense_task, levels)
    if given:
        raise HwsearchError(
            f"--stages means nothing to --distance {kind}",
            fix="Use --distance dense, or leave --stages out",
        )
    return ()


def open_judge(
    kind: DistanceKind,
    students: Students,
    teacher: Teacher,
    *,
    stages: tuple[int, ...] = (),
    cache: Path | None = None,
    seed: int = 0,
) -> Judge:
    """Opens what orders networks, lower is better.

    Args:
        kind: Its name.
        students: The networks; images of another domain make it the control for domain-awareness.
        teacher: What a distance compares them with.
        stages: Feature maps that "dense" compares.
        cache: Folder that keeps the teacher's features, or None to keep none.
        seed: Of what a control draws at random.

    Raises:
        HwsearchError: If the networks do not give what it looks at.
    """
    match kind:
        case "dense" | "projection" | "relation" | "regression" | "queue":
            open_to = partial(_open_to, kind, students, stages=stages, cache=cache)
            whole = teacher.students
            return AmongOthers(whole, open_to) if isinstance(whole, Committee) else open_to(teacher)
        case "rankme":
            return Falling(Spectrum(students).rank, students.space.maximum)
        case "alpha-req":
            return Spectrum(students).decay_off_one
        case _:
            return _open_control(kind, students, stages, seed)


def _open_to(
    kind: Compared,
    students: Students,
    teacher: Teacher,
    *,
    stages: tuple[int, ...],
    cache: Path | None,
) -> DeliveredDistance:
    if kind == "dense":
        return DenseDistance(seen_students(students), teacher, stages, cache=cache)
    return TeacherDistance(kind, students, teacher, cache=cache)


def _open_control(kind: Control, students: Students, stages: tuple[int, ...], seed: int) -> Judge:
    """Opens a control that looks at no ready model."""
    space, images, sizes = students.space, students.images, Sizes(students.space)
    match kind:
        case "random":
            return Chance(seed)
        case "parameters":
            return Falling(sizes.parameters, space.maximum)
        case "macs":
            return Falling(sizes.macs, space.maximum)
    supernet = _supernet(kind, students)
    match kind:
        case "random-weights":
            fresh = with_random_weights(supernet, seed)
            teacher = Teacher(fresh, space.maximum)
            fitting = "dense" if stages else choose_kind("auto", "classification", fresh, teacher)
            return open_judge(fitting, fresh, teacher, stages=stages)
        case "ssl-loss":
            return SslLoss(supernet, seed)
    place = supernet.place
    scores: dict[str, Score] = {
        "depth": sizes.depth,
        "naswot": Naswot(space, images, seed, place),
        "synflow": SynFlow(space, seed, place),
        "zico": ZiCo(space, images, seed, place),
    }
    return Falling(scores[kind], space.maximum)


def _supernet(kind: Control, students: Students) -> SupernetStudents:
    if isinstance(students, SupernetStudents):
        return students
    raise HwsearchError(
        f"--distance {kind} does not work for ready models",
        where=students.space.name,
        fix="Search a supernet, or use --distance relation, rankme, parameters, macs or random",
    )
