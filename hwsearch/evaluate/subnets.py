"""Judges networks of a supernet with labels, and remembers every verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from hwsearch.checkpoint import Run, load_run
from hwsearch.distance import SupernetStudents, load_target
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import JudgeName, open_judges
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.options import JudgeOptions, ProbeOptions
from hwsearch.evaluate.remembered import RememberedVerdicts, Unit, judge_all
from hwsearch.evaluate.verdict import Verdict, bootstrap_weights
from hwsearch.journal import Journal
from hwsearch.progress import console, say, track
from hwsearch.search.front import read_front, write_rows
from hwsearch.search.options import CONFIG, read_options
from hwsearch.space import Subnet

FILE, KIND, CSV = "verdicts.jsonl", "probe", "verdicts.csv"
DRAWS = 2000
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
    images = load_labelled(options.data, run.space.input_shape[1], limit=options.limit)
    students = open_students(run, options.images, images, options)
    judges = open_judges(options.judge, students, images, options.settings)
    units: list[Unit] = [
        (s, judge, seed) for s in subnets for judge in options.judge for seed in options.seeds
    ]
    with Journal.open(options.out / FILE, KIND, header_of(students, images, options)) as journal:
        if journal.repaired:
            say(journal.repaired)
        verdicts = RememberedVerdicts(run.space, journal, judges)
        done = sum(verdicts.knows(*unit) for unit in units)
        with track("judge", len(units), start=done) as advance:
            found = judge_all(verdicts, units, advance)
    summaries = tuple(
        summary
        for subnet in subnets
        for judge in options.judge
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
        front = [point.subnet for point in read_front(options.search)]
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


def open_students(
    run: Run, images: str, labelled: LabelledImages, options: JudgeOptions
) -> SupernetStudents:
    """Opens the networks of a run, calibrated on images of the target domain.

    Args:
        run: The run.
        images: Where the images are; nothing means the labelled ones.
        labelled: Labelled images.
        options: How many images, and which weights.

    Raises:
        HwsearchError: If the space takes no colour images.
    """
    channels, side, _ = run.space.input_shape
    if channels != 3:
        raise HwsearchError(
            f"networks of space '{run.space.name}' take {channels} channels, and images have 3",
            fix="Train a space of three channels; grey images become three equal ones",
        )
    target = load_target(images, side, limit=options.calibration_images) if images else None
    return SupernetStudents(
        run,
        target or labelled.target,
        weights=options.weights,
        calibration_images=options.calibration_images,
    )


def header_of(
    students: SupernetStudents, images: LabelledImages, options: JudgeOptions
) -> dict[str, Any]:
    """Returns what must be equal for verdicts to stand in one journal."""
    return {
        "space": students.space.name,
        **students.origin,
        "images": students.images.fingerprint,
        "data": images.fingerprint,
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
    """Prints a table of summaries, each beside the first network's of the same judge."""
    first: dict[tuple[str, str], Summary] = {}
    table = Table(title="networks on labelled images, each image judged by what others taught")
    for heading in ("network", "judge", "measure"):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "95 % interval", "less the first network"):
        table.add_column(heading, justify="right")
    for summary in summaries:
        control = first.setdefault((summary.judge, summary.measure), summary)
        table.add_row(
            str(summary.subnet),
            summary.judge,
            summary.measure.replace("_", "-"),
            f"{summary.value:.4f}",
            "{:.4f} to {:.4f}".format(*summary.interval),
            "" if control is summary else "{:+.4f} to {:+.4f}".format(*summary.above(control)),
        )
    console.print(table)
    say(f"All of it: {out / CSV}")


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
