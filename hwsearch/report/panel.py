"""What a picture shows: the networks of one or more searches for one target, and their front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import LATENCY, Evaluations, Target
from hwsearch.search.front import FrontPoint, read_front
from hwsearch.search.joint import FILE as JOINT_FILE
from hwsearch.search.pareto import front_and_knee
from hwsearch.space import Subnet
from hwsearch.spaces.catalogue import DIM, Catalogue
from hwsearch.spaces.precisions import PRECISION, PrecisionSpace, without_precision
from hwsearch.subnet import Value


@dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes:
        folder: Its folder.
        evaluations: Every network that it has looked at.
        front: The non-dominated ones, for every table.
    """

    folder: Path
    evaluations: Evaluations
    front: Sequence[FrontPoint]

    @classmethod
    def read(cls, folder: Path) -> "Search":
        """Reads what a search has written.

        Raises:
            HwsearchError: If it is not finished, or its fronts are against another cost.
        """
        evaluations = Evaluations.read(folder)
        if evaluations.against != LATENCY:
            raise HwsearchError(
                f"the fronts of this search are drawn against {' and '.join(evaluations.against)}",
                where=folder,
                fix="Pictures are of latency: search with --against latency_ms in another --out, "
                "and --warm with this one",
            )
        return cls(folder, evaluations, read_front(folder))

    def row(self, subnet: Subnet) -> int | None:
        """Returns the row of the evaluations that is of a network, or None."""
        return self._rows.get(self.evaluations.space.encode(subnet).tobytes())

    def row_of(self, network: Mapping[str, Value], precision: str) -> int | None:
        """Returns that of a network, given by its values, as it computes in a precision."""
        space = self.evaluations.space
        also = {PRECISION: precision} if isinstance(space, PrecisionSpace) else {}
        return self.row(space.subnet(**network, **also))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        return {code.tobytes(): row for row, code in enumerate(self.evaluations.codes)}

    @property
    def is_catalogue(self) -> bool:
        """Whether the networks have names of their own."""
        return isinstance(self.evaluations.space, Catalogue)

    @property
    def name(self) -> str:
        """The space as a legend says it."""
        name = self.evaluations.space.name
        scheme, colon, folder = name.partition(":")
        if not colon:
            plain, _, precisions = name.partition("~")
            return f"{plain} in {precisions.replace('+', ', ')}" if precisions else plain
        return f"catalogue {Path(folder).name}" if scheme == "catalogue" else f"{scheme} models"


@dataclass(frozen=True)
class Series:
    """The networks of one search for one target.

    Attributes:
        search: The search.
        target: As the search knows it.
    """

    search: Search
    target: Target

    @cached_property
    def rows(self) -> np.ndarray:
        """Rows of the search's evaluations that run on it and are of finite numbers, int[n]."""
        found = self.search.evaluations
        return np.flatnonzero(found.runs_on(self.target) & np.isfinite(self._every).all(axis=1))

    @cached_property
    def points(self) -> np.ndarray:
        """Latency in milliseconds and distance of all networks that run on it, float[n, 2]."""
        return self._every[self.rows]

    @cached_property
    def _every(self) -> np.ndarray:
        found = self.search.evaluations
        return np.column_stack([found.latencies(self.target.table), found.distance])

    @property
    def million_macs(self) -> np.ndarray:
        """Their multiply-accumulates for one image in millions, float[n]."""
        return self.search.evaluations.space.macs(self.codes) / 1e6

    @property
    def codes(self) -> np.ndarray:
        """Their codes, int[n, D]."""
        return self.search.evaluations.codes[self.rows]

    @cached_property
    def front(self) -> list[FrontPoint]:
        """The front of this search alone; points that are not of finite numbers are left out."""
        its = (point for point in self.search.front if point.table == self.target.table)
        return [point for point in its if np.isfinite((point.latency_ms, point.distance)).all()]

    @property
    def models(self) -> dict[str, np.ndarray]:
        """Latency and distance, float[2], of each model of a catalogue; of a supernet none."""
        found = self.search.evaluations
        if not self.search.is_catalogue:
            return {}
        names = (model_name(found.space.decode(code)) for code in self.codes)
        return dict(zip(names, self.points, strict=True))

    @property
    def ends(self) -> dict[str, np.ndarray]:
        """The same of a supernet's smallest and largest network; of a catalogue none."""
        space = self.search.evaluations.space
        if self.search.is_catalogue:
            return {}
        networks = without_precision(space, self.codes)
        ends = np.stack([space.encode(space.minimum), space.encode(space.maximum)])
        codes = dict(zip(("MIN", "MAX"), without_precision(space, ends), strict=True))
        rows = {name: np.flatnonzero((networks == code).all(1)) for name, code in codes.items()}
        return {name: self.points[row[0]] for name, row in rows.items() if len(row)}


def model_name(subnet: Subnet) -> str:
    """Returns the name of a model of a catalogue."""
    return str(subnet[DIM])


@dataclass(frozen=True)
class Delivered:
    """An engine that was built from a network and measured.

    Attributes:
        folder: Where it is.
        subnet: Values of its network by name.
        table: Label of the table that it was chosen on.
        predicted_ms: Latency that the table promised.
        measured_ms: Latency of the engine itself.
        predicted_distance: Teacher distance that the search found.
        measured_distance: Teacher distance of the engine's own outputs.
    """

    folder: Path
    subnet: Mapping[str, int | str]
    table: str
    predicted_ms: float
    measured_ms: float
    predicted_distance: float
    measured_distance: float


@dataclass(frozen=True)
class Panel:
    """What one target's picture shows.

    Attributes:
        target: Device and conditions.
        series: The networks of each search that has this target.
        delivered: Engines built for this target.
        joint: Whether the series are of one search, for all tables of the target's device.
    """

    target: Target
    series: tuple[Series, ...]
    delivered: Sequence[Delivered] = ()
    joint: bool = False

    @cached_property
    def front(self) -> list[tuple[Series, FrontPoint]]:
        """The non-dominated networks of all searches, fastest first, with one knee, or none.

        What several searches have found alike is there once for each of them, with one index.
        """
        every = [(series, point) for series in self.series for point in series.front]
        if not every:
            return []
        places = np.array([(point.latency_ms, point.distance) for _, point in every])
        rows, bend = front_and_knee(places[:, :1], places[:, 1])
        return [
            (every[one][0], replace(every[one][1], index=index, knee=bool(row == bend)))
            for index, row in enumerate(rows)
            for one in np.flatnonzero((places == places[row]).all(axis=1))
        ]

    @property
    def ends(self) -> list[tuple[str, np.ndarray]]:
        """Smallest and largest networks by name, with latency and distance; too many if joint."""
        return [] if self.joint else [end for one in self.series for end in one.ends.items()]

    @property
    def knee(self) -> FrontPoint:
        """The knee of the front, which must not be empty."""
        return next(point for _, point in self.front if point.knee)


def joint_panels(search: Search, delivered: Sequence[Delivered] = ()) -> list[Panel]:
    """Returns a panel for each device of a joint search, of all its tables; of others none."""
    if not (search.folder / JOINT_FILE).is_file():
        return []
    devices: dict[str, list[Target]] = {}
    for target in search.evaluations.targets:
        devices.setdefault(target.device, []).append(target)
    panels = []
    for device, targets in devices.items():
        every = [Series(search, target) for target in targets]
        series = tuple(one for one in every if len(one.points))
        tables = {one.target.table for one in series}
        its = [engine for engine in delivered if engine.table in tables]
        whole = replace(targets[0], table=f"{device}/joint")
        panels.append(Panel(whole, series, its, joint=True))
    return panels


_OTHER = {"distance": "another --distance", "teacher": "another teacher", "images": "other images"}
"""What a message calls the parts of a `Yardstick` that differ."""


def panels_of(searches: Sequence[Search], delivered: Sequence[Delivered] = ()) -> list[Panel]:
    """Returns a panel for each target of the first search, with all searches that have it.

    Args:
        searches: The first, and those to show beside it.
        delivered: Engines; each is shown where its table is.

    Raises:
        HwsearchError: If distances of a search cannot be compared with those of the first, or
            none of its targets is one of the first's.
    """
    for search in searches[1:]:
        _check_comparable(searches[0], search)
    panels = []
    for target in searches[0].evaluations.targets:
        series = tuple(
            Series(search, its)
            for search in searches
            for its in search.evaluations.targets
            if its.conditions == target.conditions
        )
        tables = {one.target.table for one in series}
        panels.append(Panel(target, series, [d for d in delivered if d.table in tables]))
    return panels


def _check_comparable(first: Search, other: Search) -> None:
    one, two = first.evaluations, other.evaluations
    differing = [
        words
        for name, words in _OTHER.items()
        if getattr(one.yardstick, name) != getattr(two.yardstick, name)
    ]
    if differing:
        raise HwsearchError(
            f"its distances were measured with {' and '.join(differing)} than those of "
            f"{first.folder}",
            where=other.folder,
            fix="Search both with the same --images, the same teacher and --distance relation",
        )
    if not {t.conditions for t in one.targets} & {t.conditions for t in two.targets}:
        raise HwsearchError(
            f"no table is of the same device, runtime, precision, batch and threads as one of "
            f"{first.folder}",
            where=other.folder,
            fix="Profile both spaces alike, and search with those --tables",
        )
