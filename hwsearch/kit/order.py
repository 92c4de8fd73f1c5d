"""What child processes are told: one JSON file, read back as the same dataclass."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwsearch.journal import Journal, write_atomic
from hwsearch.measurement import Job, Settings

KIND = "profile"
"""Kind of the journal that visits are written to."""

BEGINNING = b'{"crc32":"'
"""How every such file begins."""

MAX_CRASHES = 2
"""A job whose engine ends the process so often has failed."""


@dataclass(frozen=True)
class Order:
    """Everything that the measuring process needs.

    Attributes:
        journal: Where visits go.
        header: The journal's header.
        runtime: Name of the runtime.
        precision: Numbers that the references compute in, and every job that names no others.
        threads: CPU threads a call.
        references: Engines of the small and the large reference.
        jobs: Engines to be measured.
        settings: How the time is spent.
        max_celsius: While the machine is hotter, nothing is measured; 0 means that it may be.
        batch: Images a call of engines that take any number.
    """

    journal: Path
    header: dict[str, Any]
    runtime: str
    precision: str
    threads: int
    references: tuple[Path, Path]
    jobs: tuple[Job, ...]
    settings: Settings
    max_celsius: float = 0.0
    batch: int = 1

    def write(self, path: Path) -> None:
        """Writes the order as JSON."""
        write_atomic(path, json.dumps(asdict(self), default=str, indent=1))

    @classmethod
    def read(cls, path: Path) -> "Order":
        """Reads what `write` wrote."""
        values = json.loads(path.read_text())
        small, large = (Path(text) for text in values["references"])
        return cls(
            journal=Path(values["journal"]),
            header=values["header"],
            runtime=values["runtime"],
            precision=values["precision"],
            threads=values["threads"],
            references=(small, large),
            jobs=tuple(Job(**{**job, "engine": Path(job["engine"])}) for job in values["jobs"]),
            settings=Settings(**values["settings"]),
            max_celsius=values["max_celsius"],
            batch=values["batch"],
        )


@dataclass(frozen=True)
class BuildOrder:
    """Everything that the building process needs.

    Attributes:
        journal: Where engines that could not be built are noted.
        header: The journal's header.
        folder: Where engines go.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        models: Portable files by job; a reference is named alone.
    """

    journal: Path
    header: dict[str, Any]
    folder: Path
    runtime: str
    precision: str
    models: dict[str, Path]

    def write(self, path: Path) -> None:
        """Writes the order as JSON."""
        write_atomic(path, json.dumps(asdict(self), default=str, indent=1))

    @classmethod
    def read(cls, path: Path) -> "BuildOrder":
        """Reads what `write` wrote."""
        values = json.loads(path.read_text())
        return cls(
            journal=Path(values["journal"]),
            header=values["header"],
            folder=Path(values["folder"]),
            runtime=values["runtime"],
            precision=values["precision"],
            models={job: Path(file) for job, file in values["models"].items()},
        )


@dataclass(frozen=True)
class CheckOrder:
    """Everything that the checking process needs.

    Attributes:
        journal: Where outputs go.
        header: The journal's header.
        job: Name of the engine in the journal.
        engine: Its main file.
        runtime: Name of the runtime.
        precision: Numbers that it computes in.
        threads: CPU threads a call.
        batch: Images a call.
        inputs: File of the stored images, as the engine takes them.
        input_name: Name of its input.
        outputs: Names of its outputs.
    """

    journal: Path
    header: dict[str, Any]
    job: str
    engine: Path
    runtime: str
    precision: str
    threads: int
    batch: int
    inputs: Path
    input_name: str
    outputs: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes the order as JSON."""
        write_atomic(path, json.dumps(asdict(self), default=str, indent=1))

    @classmethod
    def read(cls, path: Path) -> "CheckOrder":
        """Reads what `write` wrote."""
        values = json.loads(path.read_text())
        paths = {name: Path(values[name]) for name in ("journal", "engine", "inputs")}
        return cls(**{**values, **paths, "outputs": tuple(values["outputs"])})


def is_finished(rows: Sequence[Mapping[str, Any]], budget_seconds: float) -> bool:
    """Whether measuring has ended and would not go on with this budget."""
    last = rows[-1] if rows else {}
    return "ended" in last and (
        last["ended"] == "settled" or last["budget_seconds"] >= budget_seconds
    )


def failures(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the jobs that ended a child process too often, with the last reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if "crash" in row:
            reasons.setdefault(row["crash"], []).append(row["reason"])
        for job in row.get("again", ()):
            reasons.pop(job, None)
    return {job: told[-1] for job, told in reasons.items() if len(told) >= MAX_CRASHES}


def try_again(journal: Journal) -> None:
    """Lets a new start try what failed in earlier ones: the reason may have gone since."""
    if failed := failures(journal.rows):
        journal.append({"again": sorted(failed)})
