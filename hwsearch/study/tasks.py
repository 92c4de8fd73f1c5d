"""The tasks of a study: labelled images with a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwsearch.errors import HwsearchError


@dataclass(frozen=True)
class Task:
    """What judges networks.

    Attributes:
        name: Unique in the study.
        source: Where its labelled images are.
    """

    name: str
    source: str


@lru_cache
def read_tasks(texts: Sequence[str]) -> tuple[Task, ...]:
    """Reads tasks from NAME=SOURCE, or a source that gives its own name.

    Raises:
        HwsearchError: If a name is empty or given twice.
    """
    tasks = []
    for text in texts:
        name, equals, source = text.partition("=")
        name, source = (name, source) if equals else (Path(text).name, text)
        if not name or not source:
            raise HwsearchError(f"'{text}' is no task", fix="Write --tasks NAME=SOURCE")
        tasks.append(Task(name, source))
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise HwsearchError(f"--tasks names '{min(twice)}' twice", fix="Give each task its own")
    return tuple(tasks)
