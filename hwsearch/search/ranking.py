"""A ranking: what orders networks beside others in a study, and the name that it is known by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

from hwsearch.distance import Judge, SupernetStudents, Task, choose_kind, choose_stages, open_judge
from hwsearch.journal import Journal
from hwsearch.progress import track
from hwsearch.search.teachers import find_teacher
from hwsearch.space import Space, Subnet


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


def rank_all(
    rankings: Mapping[str, Ranking],
    space: Space,
    subnets: Sequence[Subnet],
    journal: Journal,
    what: str = "rank",
) -> dict[str, dict[Subnet, float]]:
    """Asks rankings about networks; what a journal knows is not asked again.

    Args:
        rankings: By name.
        space: Of the networks.
        subnets: The networks.
        journal: Where answers are kept; other rows of it are passed over.
        what: Words beside the progress bar.

    Returns:
        By name and network; infinite where a ranking gave no number.
    """
    known = {
        (name, space.subnet(**row["subnet"])): row["value"]
        for name, ranking in rankings.items()
        for row in journal.rows
        if row.get("distance") == name and ranking.gave(row)
    }
    # Network by network: several rankings look at the same features, which are then kept.
    units = [(name, subnet) for subnet in subnets for name in rankings]
    left = [unit for unit in units if unit not in known]
    with track(what, len(units), start=len(units) - len(left), quiet=not left) as advance:
        for name, subnet in left:
            value = rankings[name].judge(subnet)
            told = value if isfinite(value) else None
            row = {"distance": name, "subnet": subnet.as_dict(), "value": told}
            journal.append(row | rankings[name].told())
            known[name, subnet] = told
            advance(note=name)
    return {name: {one: _number(known[name, one]) for one in subnets} for name in rankings}


def _number(value: float | None) -> float:
    return inf if value is None else value
