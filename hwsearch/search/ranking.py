"""A ranking: what orders networks beside others in a study, and the name that it is known by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.distance import Judge, SupernetStudents, Task, choose_kind, choose_stages, open_judge
from hwsearch.search.teachers import find_teacher


@dataclass(frozen=True)
class Ranking:
    """What orders networks.

    Attributes:
        name: Distance or control, the stages that it compares, and the teacher as it was named.
        judge: Orders them, lower is better.
        teacher: Short fingerprint of a named teacher, whose file may change; else empty.
    """

    name: str
    judge: Judge
    teacher: str

    def told(self) -> dict[str, str]:
        """Returns what a row of a journal says of the teacher."""
        return {"teacher": self.teacher} if self.teacher else {}

    def gave(self, row: Mapping[str, Any]) -> bool:
        """Tells whether a row that names this ranking is of the same teacher."""
        return row.get("teacher", "") == self.teacher


def open_ranking(
    asked: Any,  # noqa: ANN401 - "auto" or a DistanceKind
    task: Task,
    students: SupernetStudents,
    *,
    teacher: str = "",
    stages: tuple[int, ...] = (),
    cache: Path,
    seed: int,
) -> Ranking:
    """Opens a distance or a control by name.

    Args:
        asked: Its name, or "auto".
        task: What the networks are for.
        students: The networks.
        teacher: What they are compared with, as `find_teacher` takes it.
        stages: Feature maps that "dense" compares; those of the task by default.
        cache: Folder that keeps the teacher's features.
        seed: Of what a control draws at random.

    Raises:
        HwsearchError: If there is no such teacher, or the networks do not give what is looked at.
    """
    found = find_teacher(teacher, students, students, cache)
    kind = choose_kind(asked, task, students, found)
    # Others stand beside a dense distance, and have no stages.
    compared = choose_stages(stages if kind == "dense" else (), kind, task, students)
    name = " ".join(map(str, (kind, *compared, *(("to", teacher) if teacher else ()))))
    judge = open_judge(kind, students, found, stages=compared, cache=cache, seed=seed)
    return Ranking(name, judge, found.fingerprint[:16] if teacher else "")
