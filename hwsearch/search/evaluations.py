"""Evaluations: every network that a search has looked at, as arrays."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath

import numpy as np

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.journal import Json, read_journal, sha256_of
from hwsearch.latency.table import Table
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.precisions import of_precision
from hwsearch.subnet import Value

KIND = "search"
"""Kind of the journal."""

FILE = "evaluations.jsonl"
"""Name of the journal in the folder of a search."""

LATENCY = ("latency_ms",)
"""What fronts are drawn against unless something else is asked for."""


@dataclass(frozen=True)
class Target:
    """What the networks are searched for: the conditions of one latency table.

    Attributes:
        table: Label of the table, "device/name", unique in a search.
        device: Name of the device profile.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        batch: Images a call.
        threads: Threads of the runtime.
        sha256: Hash of the table's file.
        pace_hz: Calls a second; 0 means back to back.
    """

    table: str
    device: str
    runtime: str
    precision: str
    batch: int
    threads: int
    sha256: str
    pace_hz: float = 0.0

    @classmethod
    def of(cls, table: Table) -> "Target":
        """Returns the conditions of a table."""
        return cls(
            table=label_of(table),
            device=table.device,
            runtime=table.runtime,
            precision=table.precision,
            batch=table.batch,
            threads=table.threads,
            sha256=sha256_of(table.path),
            pace_hz=table.pace_hz,
        )

    @property
    def conditions(self) -> tuple[str, str, str, int, int, float]:
        """What latencies must have in common to be compared: all but the table's space."""
        return (self.device, self.runtime, self.precision, self.batch, self.threads, self.pace_hz)


def label_of(table: Table) -> str:
    """Names a table among those of several devices."""
    return f"{table.device}/{table.name}"


@dataclass(frozen=True)
class Yardstick:
    """What distances were measured with; only those of equal ones can be compared.

    Attributes:
        distance: What was compared, such as "projection" or "dense 3 4".
        teacher: Fingerprint of the teacher.
        images: Fingerprint of the target images.
    """

    distance: str
    teacher: str
    images: str


@dataclass(frozen=True)
class Evaluations:
    """The evaluated networks of a search, in the order of evaluation.

    Attributes:
        space: Space of the codes.
        yardstick: What `distance` was measured with.
        targets: In the order of the columns of `latency_ms`.
        codes: int[N, D].
        distance: Teacher distance, lower is better, float[N].
        latency_ms: Predicted milliseconds, float[N, T].
        against: Costs that the fronts of the search are drawn against.
        stopped: Rows of networks that were not looked at in full, as others are closer and no
            slower: their distances are estimates.
    """

    space: Space
    yardstick: Yardstick
    targets: tuple[Target, ...]
    codes: np.ndarray
    distance: np.ndarray
    latency_ms: np.ndarray
    against: tuple[str, ...] = LATENCY
    stopped: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Evaluations":
        """Reads the journal of a search, finished or not.

        Raises:
            HwsearchError: If the folder holds no evaluations.
        """
        path = folder / FILE
        if not path.is_file():
            raise HwsearchError(
                "no search found", where=folder, fix="Give the folder of hwsearch search --out"
            )
        header, rows = read_journal(path, KIND)
        if not rows:
            raise HwsearchError(
                "the search holds no evaluation yet", where=path, fix="Let hwsearch search finish"
            )
        space = get_space(header["space"])
        targets = tuple(Target(table=label, **what) for label, what in header["tables"].items())
        return cls(
            space=space,
            yardstick=Yardstick(*(header.get(field.name, "") for field in fields(Yardstick))),
            targets=targets,
            codes=_codes(space, [row["subnet"] for row in rows]),
            distance=np.array([row["distance"] for row in rows], dtype=float),
            latency_ms=np.array([[row["latency_ms"][t.table] for t in targets] for row in rows]),
            against=tuple(header.get("against", LATENCY)),
            stopped=_stopped(rows),
        )

    def whole(self) -> "Evaluations":
        """Returns the networks that were looked at in full."""
        names = ("codes", "distance", "latency_ms")
        kept = {name: np.delete(getattr(self, name), self.stopped, axis=0) for name in names}
        return replace(self, **kept, stopped=())

    @property
    def million_macs(self) -> np.ndarray:
        """Multiply-accumulates for one image in millions, float[N]."""
        return self.space.macs(self.codes) / 1e6

    def latencies(self, table: str) -> np.ndarray:
        """Returns the predicted milliseconds for the table of a target, float[N]."""
        return self.latency_ms[:, self.targets.index(self.target(table))]

    def runs_on(self, target: Target) -> np.ndarray:
        """Marks the networks that compute in the precision of a target, bool[N]."""
        return of_precision(self.space, self.codes, target.precision)

    def target(self, table: str) -> Target:
        """Returns the target of a table."""
        return next(target for target in self.targets if target.table == table)


def _stopped(rows: list[Json]) -> tuple[int, ...]:
    """Returns the rows of estimates; of an earlier hwsearch's, the count of images tells."""
    most = max((row.get("images", 0) for row in rows), default=0)
    whole = [row.get("whole", row.get("images", most) == most) for row in rows]
    return tuple(at for at, known in enumerate(whole) if not known)


def _codes(space: Space, subnets: list[dict[str, Value]]) -> np.ndarray:
    """Returns the codes of journaled networks, int[N, D]; raises as `Space.encode`."""
    dims = [(dim.name, {value: at for at, value in enumerate(dim.choices)}) for dim in space.dims]
    try:
        if all(len(subnet) == len(dims) for subnet in subnets):
            return np.array([[index[subnet[name]] for name, index in dims] for subnet in subnets])
    except KeyError:
        pass  # the slower way says what is wrong
    return np.array([space.encode(space.subnet(**subnet)) for subnet in subnets])


def match_table(text: str, labels: Iterable[str]) -> str:
    """Finds the table of a search that a user means.

    Args:
        text: A label "device/name", a name, a path of a table, or nothing if there is one table.
        labels: Labels of the tables of the search.

    Raises:
        HwsearchError: If no table or more than one has that name.
    """
    known = list(dict.fromkeys(labels))
    parts = PurePath(text.removesuffix(".jsonl")).parts[-2:]
    found = [label for label in known if tuple(label.split("/")[-len(parts) :]) == parts]
    if text in known or (not text and len(known) == 1):
        return text or known[0]
    if len(found) > 1 or not text:
        raise HwsearchError(
            f"'{text}' is the name of several tables" if text else "the search has several tables",
            fix=f"Use --table {' or --table '.join(known)}",
        )
    if not found:
        raise unknown_name("table of this search", text, known)
    return found[0]
