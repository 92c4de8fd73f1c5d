"""Tasks that commands take several of: labelled images with a name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from hwsearch.data.sources import open_source
from hwsearch.data.sources.same import same_images
from hwsearch.errors import HwsearchError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]*")


@dataclass(frozen=True)
class NamedTask:
    """Labelled images that networks are judged by.

    Attributes:
        name: Of the task, unique in a command; also of a folder.
        source: Where the images are.
    """

    name: str
    source: str

    @classmethod
    def parse(cls, text: str) -> "NamedTask":
        """Reads NAME=SRC, or SRC alone where its last part can be a name.

        Raises:
            HwsearchError: If there is no name that a folder can have.
        """
        name, equals, source = text.partition("=")
        if not equals:
            source, name = text, text.replace(":", "/").rstrip("/").rpartition("/")[2]
        if not _NAME.fullmatch(name) or not source:
            raise HwsearchError(
                f"the task '{text}' has no name of letters, digits, spaces, points and dashes",
                fix="Write --tasks NAME=IMAGES",
            )
        return cls(name, source)


def read_tasks(texts: Iterable[str]) -> tuple[NamedTask, ...]:
    """Reads tasks, each of another name.

    Raises:
        HwsearchError: If a name is impossible or given twice.
    """
    tasks = tuple(map(NamedTask.parse, texts))
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise HwsearchError(f"two tasks are named '{min(twice)}'", fix="Write --tasks NAME=IMAGES")
    return tasks


def fingerprints_of(tasks: Iterable[NamedTask]) -> dict[str, str]:
    """Returns the fingerprint of the images of each task, by name.

    Raises:
        HwsearchError: If two tasks have the same images: what one tells would leak to the other.
    """
    sources = {task.name: open_source(task.source) for task in tasks}
    found = {name: source.fingerprint() for name, source in sources.items()}
    for one, other in combinations(sources, 2):
        if found[one] == found[other] and same_images(sources[one], sources[other]):
            raise HwsearchError(
                f"tasks '{one}' and '{other}' are of the same images",
                where=sources[one].name,
                fix="Leave one of them out",
            )
    return found
