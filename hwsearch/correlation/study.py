"""The study: networks of each bin, their distances and their verdicts, all journaled."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from hwsearch.checkpoint import load_run
from hwsearch.correlation.bins import Bin
from hwsearch.correlation.options import CorrelateOptions, Ranked
from hwsearch.correlation.others import mean_ranks
from hwsearch.correlation.plan import FILE, KIND, plan_bins
from hwsearch.distance import SupernetStudents, load_target
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import Data, load_data, open_judges
from hwsearch.evaluate.remembered import RememberedVerdicts, Unit, judge_all
from hwsearch.evaluate.subnets import header_of, open_students
from hwsearch.evaluate.verdict import Verdict
from hwsearch.journal import Journal
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import say
from hwsearch.search.evaluations import Target
from hwsearch.search.ranking import Ranking, open_ranking, rank_all
from hwsearch.search.teachers import what_fits
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

RIDGE, FOREIGN, OTHERS = "ridge", "foreign", "other domains"


@dataclass(frozen=True, eq=False)
class Group:
    """What is known of the networks of one bin.

    Attributes:
        bin: The bin.
        distances: What ranks the networks, lower is better, by name, float[S]; inf where a control
            gave no number.
        verdicts: Of each network and seed.
    """

    bin: Bin
    distances: Mapping[str, np.ndarray]
    verdicts: tuple[tuple[Verdict, ...], ...]


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that was found out.

    Attributes:
        space: Of the networks.
        first: Name of the distance that is tested.
        groups: A group a bin.
    """

    space: Space
    first: str
    groups: tuple[Group, ...]

    @property
    def images(self) -> int:
        """How many images the networks were judged by."""
        return len(self.groups[0].verdicts[0][0])


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a study reads, opened and found to fit together."""

    options: CorrelateOptions
    table: Table
    students: SupernetStudents
    rankings: Mapping[str, Ranking]
    first: str

    @property
    def space(self) -> Space:
        return self.students.space


def gather(options: CorrelateOptions) -> Study:
    """Draws networks, ranks and judges them; a study that was killed goes on and repeats nothing.

    The edges of the bins and the networks are in the journal before anything is judged.

    Raises:
        HwsearchError: If something is missing or does not fit, a bin has too few networks, or the
            folder holds another study.
    """
    table = Table.read(find_table(options.table, options.tables_dir))
    space = get_space(table.space)
    run = load_run(options.checkpoint, space=space.name)
    side = space.input_shape[1]
    images = load_data(options.task, options.data, options.side or side, limit=options.limit)
    target = load_target(options.images, side, limit=options.max_images)
    students = open_students(run, target, options)
    students.remembers = True
    judges = open_judges((options.judged_by,), students, images, options.settings)
    inputs = _open(options, table, students)
    header = header_of(students, images, options) | _told(inputs)
    with Journal.open(options.out / FILE, KIND, header) as journal:
        if journal.repaired:
            say(journal.repaired)
        source = images.target.source.fingerprint()
        bins = plan_bins(options, table, space, journal, source=source)
        others = _others(options, space, bins, images)
        networks = [subnet for group in bins for subnet in group.subnets]
        known = rank_all(inputs.rankings, space, networks, journal)
        _tell_lost(known)
        verdicts = _judge(options, RememberedVerdicts(space, journal, judges), bins)
    groups = []
    for group, elsewhere in zip(bins, others, strict=True):
        ranked = {name: np.array([row[s] for s in group.subnets]) for name, row in known.items()}
        ranked |= {} if elsewhere is None else {OTHERS: elsewhere}
        groups.append(Group(group, ranked, tuple(verdicts[s] for s in group.subnets)))
    return Study(space, inputs.first, tuple(groups))


def _others(
    options: CorrelateOptions, space: Space, bins: tuple[Bin, ...], images: Data
) -> list[np.ndarray] | list[None]:
    if not options.others:
        return [None] * len(bins)
    same = (images.fingerprint, images.target.source.fingerprint())
    return mean_ranks(options.others, space, bins, judge=options.judged_by, same=same)


def _judge(
    options: CorrelateOptions, verdicts: RememberedVerdicts, bins: tuple[Bin, ...]
) -> dict[Subnet, tuple[Verdict, ...]]:
    """Returns the verdicts of all seeds on each network, journaling what is new."""
    judge, subnets = options.judged_by, [subnet for group in bins for subnet in group.subnets]
    units: list[Unit] = [(subnet, judge, seed) for subnet in subnets for seed in options.seeds]
    found = judge_all(verdicts, units, f"judge ({judge})")
    return {s: tuple(found[s, judge, seed] for seed in options.seeds) for s in subnets}


def _open(options: CorrelateOptions, table: Table, students: SupernetStudents) -> _Inputs:
    """Opens everything that ranks networks, each under its name."""
    tested, *controls = options.distances
    teacher = what_fits(options.teacher, students.space, options.task, tested)
    first = _finite(_open_ranking(options, students, tested, teacher))
    rankings = {first.name: first}
    for name in (tested, *controls) if teacher else controls:
        if name != RIDGE:
            ranking = _open_ranking(options, students, name)
            rankings[ranking.name] = ranking
    if options.foreign:
        side = students.space.input_shape[1]
        foreign = load_target(options.foreign, side, limit=options.max_images)
        others = open_students(students.run, foreign, options)
        name = f"{FOREIGN} {foreign.fingerprint[:8]}, {first.name}"
        rankings[name] = _open_ranking(options, others, tested, teacher)
    return _Inputs(options, table, students, rankings, first.name)


def _open_ranking(
    options: CorrelateOptions,
    students: SupernetStudents,
    asked: Ranked,
    teacher: str = "",
) -> Ranking:
    return open_ranking(
        asked,
        options.task,
        students,
        teacher=teacher,
        stages=options.stages,
        cache=options.out / "teacher",
        seed=options.seed,
    )


def _told(inputs: _Inputs) -> dict[str, Any]:
    options, conditions = inputs.options, asdict(Target.of(inputs.table))
    return {
        "table": conditions,
        "bins": options.bins,
        "per_bin": options.per_bin,
        "bin_width": options.bin_width,
        "seed": options.seed,
    }


def _finite(ranking: Ranking) -> Ranking:
    """Refuses a distance that is no number; a control may give none, and ranks a network last."""

    def judge(subnet: Subnet) -> float:
        value = ranking.judge(subnet)
        if not isfinite(value):
            raise HwsearchError(
                f"the {ranking.name} distance of a network is {value}",
                fix="Check the checkpoint; training may have diverged",
            )
        return value

    return replace(ranking, judge=judge)


def _tell_lost(known: Mapping[str, Mapping[Subnet, float]]) -> None:
    for name, values in known.items():
        if lost := sum(not isfinite(value) for value in values.values()):
            say(f"{name} gave no number for {lost} of {len(values)} networks, which rank last")
