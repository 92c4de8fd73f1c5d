"""Judges networks of a supernet with labels, and remembers every verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from hwsearch.checkpoint import Run, load_run
from hwsearch.distance import SupernetStudents, TargetImages, load_target
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import Data, JudgeName, load_data, open_judges
from hwsearch.evaluate.options import JudgeOptions, ProbeOptions
from hwsearch.evaluate.remembered import RememberedVerdicts, Unit, judge_all
from hwsearch.evaluate.verdict import Verdict, bootstrap_weights
from hwsearch.journal import Journal
from hwsearch.progress import console, say
from hwsearch.search.front import read_front, write_rows
from hwsearch.search.options import CONFIG, read_options
from hwsearch.space import Subnet
from hwsearch.spaces import get_space
from hwsearch.spaces.precisions import network_of

FILE, KIND, CSV = "verdicts.jsonl", "probe", "verdicts.csv"
DRAWS = 1000
"""Resamples of an interval."""


@dataclass(frozen=True)
class Summary:
    """What one judge says of one network, over all seeds.

    Attributes:
        subnet: The network.
        judge: Who says it.
        measure: Of what, such as "accuracy".
        value: Mean over the seeds.
        draws: The same for images drawn with return, float[R]; equal images for all networks.
    """

    subnet: Subnet
    judge: JudgeName
    measure: str
    value: float
    draws: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval over images."""
        return _interval(self.draws)

    def above(self, other: "Summary") -> tuple[float, float]:
        """Returns the 95 % interval of this value minus another's on the same images."""
        return _interval(self.draws - other.draws)


def judge_subnets(options: ProbeOptions) -> tuple[Summary, ...]:
    """Judges networks by labelled images; a run that was killed goes on and repeats nothing.

    Returns:
        A summary for each network, judge and measure, in the order given.

    Raises:
        HwsearchError: If something is missing or does not fit, or the folder holds other verdicts.
    """
    assert options.out is not None
    run, subnets = _open_run(options)
    side = run.space.input_shape[1]
    images = load_data(options.task, options.data, options.side or side, limit=options.limit)
    target = images.target
    if options.images:
        target = load_target(options.images, side, limit=options.calibration_images)
    students = open_students(run, target, options)
    judges = open_judges(options.judges, students, images, options.settings)
    units: list[Unit] = [
        (s, judge, seed) for s in subnets for judge in options.judges for seed in options.seeds
    ]
    with Journal.open(options.out / FILE, KIND, header_of(students, images, options)) as journal:
        if journal.repaired:
            say(journal.repaired)
        found = judge_all(RememberedVerdicts(run.space, journal, judges), units, "judge")
    summaries = tuple(
        summary
        for subnet in subnets
        for judge in options.judges
        for summary in _summaries(
            subnet, judge, [found[subnet, judge, seed] for seed in options.seeds]
        )
    )
    write_rows([_row(summary) for summary in summaries], options.out / CSV)
    return summaries


def _open_run(options: ProbeOptions) -> tuple[Run, list[Subnet]]:
    """Opens the checkpoint and names the networks to judge, each once."""
    checkpoint, front = options.checkpoint, []
    if options.search is not None:
        points = [point.subnet for point in read_front(options.search)]
        front = [network_of(get_space(subnet.space), subnet) for subnet in points]
        if checkpoint is None:
            checkpoint = read_options(options.search / CONFIG, out=options.search).checkpoint
    if checkpoint is None:
        raise HwsearchError(
            "the search was made without a checkpoint",
            where=options.search,
            fix="Give --checkpoint",
        )
    run = load_run(checkpoint, space=front[0].space if front else None)
    subnets = [*map(run.space.parse, options.subnet), *front]
    return run, list(dict.fromkeys(subnets))


def open_students(run: Run, target: TargetImages, options: JudgeOptions) -> SupernetStudents:
    """Opens the networks of a run, calibrated on images of the target domain.

    Args:
        run: The run.
        target: The images.
        options: How many of them, and which weights of the run.

    Raises:
        HwsearchError: If the space takes no colour images.
    """
    if (channels := run.space.input_shape[0]) != 3:
        raise HwsearchError(
            f"networks of space '{run.space.name}' take {channels} channels, and images have 3",
            fix="Train a space of three channels; grey images become three equal ones",
        )
    return SupernetStudents(
        run,
        target,
        weights=options.weights,
        calibration_images=options.calibration_images,
        place=options.place,
    )


def header_of(students: SupernetStudents, images: Data, options: JudgeOptions) -> dict[str, Any]:
    """Returns what must be equal for verdicts to stand in one journal."""
    return {
        "space": students.space.name,
        **students.origin,
        "images": students.images.fingerprint,
        "data": images.fingerprint,
        "task": options.task,
        "settings": options.settings.told(),
    }


def _summaries(subnet: Subnet, judge: JudgeName, verdicts: Sequence[Verdict]) -> list[Summary]:
    """Summarises verdicts of several seeds on the same images, a summary a measure."""
    weights_RN = bootstrap_weights(len(verdicts[0]), DRAWS, seed=0)
    return [
        Summary(
            subnet,
            judge,
            measure,
            float(np.mean([verdict.score(measure) for verdict in verdicts])),
            np.mean([verdict.scores(measure, weights_RN) for verdict in verdicts], axis=0),
        )
        for measure in reversed(verdicts[0].measures)
    ]


def _row(summary: Summary) -> dict[str, object]:
    low, high = summary.interval
    return {
        "subnet": str(summary.subnet),
        "judge": summary.judge,
        "measure": summary.measure,
        "value": f"{summary.value:.6g}",
        "low": f"{low:.6g}",
        "high": f"{high:.6g}",
    }


def show_summaries(summaries: Sequence[Summary], out: Path) -> None:
    """Prints a row for each network and judge, beside the first network's of the same judge."""
    measures = list(dict.fromkeys(summary.measure for summary in summaries))
    dims = " ".join(summaries[0].subnet.as_dict())
    table = Table(
        title="networks on labelled images, each image judged by what others taught",
        caption=f"95 % intervals over images; networks as {dims}",
    )
    for heading in ("network", "judge"):
        table.add_column(heading)
    for measure in measures:
        words = measure.replace("_", "-")
        table.add_column(words, justify="right")
        table.add_column(f"{words} less the first's", justify="right")
    rows: dict[tuple[Subnet, JudgeName], dict[str, Summary]] = {}
    for summary in summaries:
        rows.setdefault((summary.subnet, summary.judge), {})[summary.measure] = summary
    for (subnet, judge), found in rows.items():
        control = rows[summaries[0].subnet, judge]
        cells = [_cells(found.get(measure), control.get(measure)) for measure in measures]
        table.add_row(" ".join(map(str, subnet.as_dict().values())), judge, *chain(*cells))
    console.print(table)
    say(f"All of it: {out / CSV}")


def _cells(found: Summary | None, control: Summary | None) -> tuple[str, str]:
    if found is None or control is None:
        return "", ""
    value = "{:.3f} ({:.3f} to {:.3f})".format(found.value, *found.interval)
    return value, "" if found is control else "{:+.3f} to {:+.3f}".format(*found.above(control))


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
