"""Distances and controls by name, and how each is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hwsearch.distance.base import Judge
from hwsearch.distance.dense import DenseDistance, default_stages
from hwsearch.distance.pooled import TeacherDistance
from hwsearch.distance.students import SeenStudents, Students, SupernetStudents
from hwsearch.distance.teacher import Teacher
from hwsearch.errors import HwsearchError

Task = Literal["classification", "detection", "segmentation"]
"""What an engine is for."""

DistanceKind = Literal["projection", "relation", "queue", "dense"]
"""What orders networks."""


def choose_kind(
    asked: Literal["auto"] | DistanceKind, task: Task, students: Students, teacher: Teacher
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
    return "projection" if projected else "relation"


def choose_stages(
    given: tuple[int, ...], kind: DistanceKind, task: Task, students: Students
) -> tuple[int, ...]:
    """Returns the stages that a distance compares; none but for a dense one.

    Raises:
        HwsearchError: If the networks show no feature maps and the distance compares them.
    """
    if kind == "dense":
        levels = _seen(students).levels
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
    stages: Sequence[int] = (),
    cache: Path | None = None,
) -> Judge:
    """Opens what orders networks, lower is better.

    Args:
        kind: Its name.
        students: The networks.
        teacher: What a distance compares them with.
        stages: Feature maps that "dense" compares.
        cache: Folder that keeps the teacher's features, or None to keep none.
    """
    if kind == "dense":
        return DenseDistance(_seen(students), teacher, stages, cache=cache)
    return TeacherDistance(kind, students, teacher, cache=cache)


def _seen(students: Students) -> SeenStudents:
    if isinstance(students, SeenStudents):
        return students
    raise HwsearchError(
        "ready models show no feature maps, which a dense task compares",
        where=students.space.name,
        fix="Use --task classification, or search a supernet",
    )
