"""What each ingredient of the distance is worth: kind, stages, calibration, weights, images.

    python tests/benchmarks/ablation.py --data SETS --runs RUN --keep KEPT --only '*-flowers-linear'
    python tests/benchmarks/ablation.py --data sklearn:digits

Each unit takes a study of correlation.py (one that --keep holds is not repeated), ranks its
networks again with one ingredient changed at a time, and sets each change beside the distance as it
is by default: both rank correlations and their paired difference. It leaves one row in
results/ablation.jsonl; units that have a row are not run again. The changes:

    kind         every distance to the largest network; in dense tasks each stage alone, and all
    calibration  batch norms calibrated on 64 images, or on images of another domain
    images       networks seen on 64, 128 or 256 images, calibrated as always
    weights      the slow average of the weights, where the training has one

How long a supernet was trained is one more ingredient: rows of correlation.py name it.

The reduced form does the same with the study of digits that correlation.py's makes, in minutes; it
is always run. Without --data it only prints what the journal holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from correlation import ask, describe, options_of
from correlation_plan import Unit
from correlation_pooled import pool

from hwsearch.checkpoint import Run, load_run
from hwsearch.correlation.analysis import MEAN, analyse
from hwsearch.correlation.options import CorrelateOptions
from hwsearch.correlation.show import finding_row
from hwsearch.correlation.study import Group, Study, gather
from hwsearch.distance import (
    Judge,
    SupernetStudents,
    TargetImages,
    Teacher,
    choose_kind,
    choose_stages,
    load_target,
    open_judge,
)
from hwsearch.distance.kinds import Compared, DistanceKind
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.subnets import open_students
from hwsearch.nn import StaticNet
from hwsearch.progress import track

FEW = 64
SEEN = (FEW, 128, 256)
"""How many images networks are seen on."""


class CalibratedAs(SupernetStudents):
    """Networks that are calibrated on other images than they are seen on."""

    def __init__(self, run: Run, seen: TargetImages, calibration: SupernetStudents) -> None:
        super().__init__(run, seen, place=calibration.place)
        self._calibration = calibration

    def calibrated(self, net: StaticNet) -> StaticNet:
        """Calibrates a network as the others do."""
        return self._calibration.calibrated(net)


@dataclass(frozen=True)
class Changes:
    """Distances that differ from the default in one ingredient.

    Attributes:
        options: The study.
    """

    options: CorrelateOptions

    @cached_property
    def run(self) -> Run:
        """The supernet."""
        return load_run(self.options.checkpoint)

    @cached_property
    def students(self) -> SupernetStudents:
        """Networks as the study sees them."""
        students = open_students(self.run, self._target(self.options.images), self.options)
        students.remembers = True
        return students

    def all(self) -> Iterator[tuple[str, Judge]]:
        """Yields every change by name."""
        yield from self._kinds()
        few = replace(self.options, calibration_images=FEW)
        students = open_students(self.run, self.students.images, few)
        yield f"calibrated on {FEW} images", self._default(students)
        if self.options.foreign:
            foreign = self._target(self.options.foreign)
            there = open_students(self.run, foreign, self.options)
            students = CalibratedAs(self.run, self.students.images, there)
            yield "calibrated on another domain", self._default(students)
        for count in SEEN:
            seen = self._target(self.options.images, count)
            yield (
                f"seen on {count} images",
                self._default(CalibratedAs(self.run, seen, self.students)),
            )
        try:
            self.run.method.encoder("ema")
        except HwsearchError:
            return
        slow = replace(self.options, weights="ema")
        yield "slow average", self._default(open_students(self.run, self.students.images, slow))

    def _kinds(self) -> Iterator[tuple[str, Judge]]:
        for kind in get_args(Compared):
            if kind != self._kind(self.students):
                try:
                    yield kind, self._open(self.students, kind)
                except HwsearchError as cause:
                    print(f"without {kind}: {cause}")
        if self.options.task != "classification":
            every = tuple(range(1, self.students.levels + 1))
            for stages in (*((stage,) for stage in every), every):
                name = " ".join(map(str, ("stages", *stages)))
                yield name, self._open(self.students, "dense", stages)

    def _kind(self, students: SupernetStudents) -> DistanceKind:
        teacher = Teacher(students, students.space.maximum)
        return choose_kind("auto", self.options.task, students, teacher)

    def _default(self, students: SupernetStudents) -> Judge:
        return self._open(students, self._kind(students))

    def _open(
        self, students: SupernetStudents, kind: DistanceKind, stages: tuple[int, ...] = ()
    ) -> Judge:
        chosen = choose_stages(stages, kind, self.options.task, students)
        return open_judge(kind, students, Teacher(students, students.space.maximum), stages=chosen)

    def _target(self, images: str, limit: int | None = None) -> TargetImages:
        return load_target(
            images, self.run.space.input_shape[1], limit=limit or self.options.max_images
        )


def run(unit: Unit, table: str, keep: Path, device: str) -> dict[str, Any]:
    """Runs the study, unless it is finished, and ranks its networks again; returns a row."""
    options = options_of(unit, table, keep, device)
    study, changes = gather(options), dict(Changes(options).all())
    subnets = [subnet for group in study.groups for subnet in group.bin.subnets]
    with track("rank", len(subnets)) as advance:
        told: dict[str, list[float]] = {name: [] for name in changes}
        for subnet in subnets:  # network by network: kinds look at the same features
            for name, judge in changes.items():
                told[name].append(judge(subnet))
            advance(note="")
    found = analyse(_with(study, told), ridge=False, draws=options.draws, seed=options.seed)
    return describe(unit) | {"findings": [finding_row(one) for one in found]}


def _with(study: Study, told: dict[str, list[float]]) -> Study:
    """Returns a study of the tested distance and these."""
    groups, begin = [], 0
    for group in study.groups:
        end = begin + len(group.bin.subnets)
        ranked = {name: np.array(values[begin:end]) for name, values in told.items()}
        groups.append(
            Group(group.bin, {study.first: group.distances[study.first]} | ranked, group.verdicts)
        )
        begin = end
    return Study(study.space, study.first, tuple(groups))


def report(rows: list[dict[str, Any]]) -> None:
    """Prints every change beside the default, set by set, and sets of one training together."""
    lines = [
        {"unit": row["name"], "change": one["distance"], "measure": one["measure"]}
        | {"ceiling": one["ceiling"], "rho": _interval(one, "rho")}
        | {"default_less_this": _interval(one, "ahead")}
        for row in rows
        for one in row["findings"]
        if one["where"] == MEAN
    ]
    print(pd.DataFrame(lines).to_string(index=False) if lines else "no unit done yet")
    pooled = pool(rows) if rows else pd.DataFrame()
    if len(pooled):
        print("\nAll sets together:")
        print(pooled.to_string(index=False))


def _interval(finding: dict[str, str], name: str) -> str:
    value = finding[name]
    return f"{value} ({finding[f'{name}_low']} to {finding[f'{name}_high']})" if value else ""


def main() -> None:
    ask("ablation", __doc__ or "", "*-linear", run, report)


if __name__ == "__main__":
    main()
