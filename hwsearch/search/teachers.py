"""Which network a search takes for the teacher."""

from pathlib import Path

from hwsearch.distance import (
    CatalogueStudents,
    ExternalStudents,
    Students,
    SupernetStudents,
    Teacher,
)
from hwsearch.distance.best_teacher import BY_RANK, COMMITTEE, teacher_by_rank
from hwsearch.distance.committee import Committee
from hwsearch.distance.kinds import Task
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.space import ENDS, Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import DIM, Catalogue
from hwsearch.spaces.timm import SCHEME

BESIDE = "+"
"""Stands between the networks of a committee."""

AUTO, LARGEST = "auto", "max"
"""What leaves the choice to the program, and the supernet's largest network."""


def what_fits(text: str, space: Space, task: Task, distance: str) -> str:
    """Returns what `find_teacher` takes for what a user asks for.

    Args:
        text: Of --teacher; "auto" is a committee where a supernet is to classify, which of all that
            sees no labels was found to choose best, and otherwise the largest network.
        space: What is searched.
        task: What the networks are for.
        distance: Of --distance; most kinds compare networks with the largest one.
    """
    if isinstance(space, Catalogue):
        return "" if text == AUTO else text
    if text == AUTO and task == "classification" and distance in ("auto", "regression"):
        return COMMITTEE
    return "" if text in (AUTO, LARGEST) else text


def find_teacher(
    text: str, students: Students, supernet: SupernetStudents | None, folder: Path
) -> Teacher:
    """Finds the teacher that a user means.

    Args:
        text: A network or model of what is searched, several with + between them for a committee,
            "rank" for the one of highest effective rank, "committee" for some of these, the path
            of an ONNX file, what `hwsearch train --teacher` takes, or nothing for the largest
            network of the supernet.
        students: The networks that are searched.
        supernet: The networks of --checkpoint, if it was given.
        folder: Keeps what was found on the way.

    Raises:
        HwsearchError: If there is no such teacher.
    """
    models = students.space.models if isinstance(students.space, Catalogue) else {}
    path = Path(text).expanduser()
    if text and models and supernet is not None:
        raise HwsearchError("--checkpoint and --teacher are two teachers", fix="Give one of them")
    if text in BY_RANK:
        return teacher_by_rank(students, folder, BY_RANK[text])
    if text in models:
        return Teacher(students, students.space.subnet(**{DIM: text}))
    if path.suffix == ".onnx" and path.is_file():
        return _file(path.resolve(), students)
    if path.suffix == ".py" or text.startswith(SCHEME):
        return _module(text, students)
    named = _split(text)
    if all("=" in one or one in ENDS for one in named):
        return _networks(named, students)
    if text and models:
        raise unknown_name("model of --teacher", text, tuple(models))
    if text:
        raise HwsearchError(
            "--teacher names no ONNX file",
            where=text,
            fix="Give the path of an .onnx file, timm:NAME=FILE.safetensors, a .py file, a network "
            f"such as max, {' or '.join(BY_RANK)}",
        )
    if supernet is None:
        raise HwsearchError(
            "a catalogue has no teacher of its own",
            fix=f"Give --checkpoint, or a model with --teacher: {', '.join(models)}",
        )
    return Teacher(supernet, supernet.space.canonical(supernet.space.maximum))


def name_of(teacher: Teacher) -> str:
    """Names a teacher that is of what is searched, so that `find_teacher` finds it again."""
    if isinstance(teacher.students, Committee):
        return BESIDE.join(map(str, teacher.students.members))
    return str(teacher.subnet)


def _split(text: str) -> list[str]:
    """Returns the networks of a committee; what is no network belongs to the name before it."""
    named: list[str] = []
    for part in text.split(BESIDE):
        if not named or "=" in part or part in ENDS:
            named.append(part)
        else:
            named[-1] += BESIDE + part
    return named


def _networks(named: list[str], students: Students) -> Teacher:
    """Returns one network of what is searched, or several as a committee."""
    subnets = [students.space.canonical(students.space.parse(one)) for one in named]
    for subnet in subnets:
        students.space.encode(subnet)  # refuses what is off the grid, which no search would find
    if len(subnets) == 1:
        return Teacher(students, subnets[0])
    return Teacher(Committee(students, subnets), students.space.maximum)


def _module(text: str, students: Students) -> Teacher:
    from hwsearch.train.teacher import open_teacher

    space = students.space
    network = open_teacher(text, space.input_shape[1])
    return Teacher(ExternalStudents(network, space, students.images), space.maximum)


def _file(path: Path, students: Students) -> Teacher:
    catalogue = get_space(f"catalogue:{path.parent}")
    assert isinstance(catalogue, Catalogue)
    subnet = catalogue.subnet(**{DIM: path.stem})
    return Teacher(CatalogueStudents(catalogue, students.images), subnet)
