"""The job list of a kit: what is to be measured, by names and hashes of the files beside it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwsearch.kit.listing import Kind, damaged_files, with_references

JOBS, MODELS, PROGRAM, RESULTS = "jobs.json", "models", "measure_kit.pyz", "results.jsonl"
"""What lies in the folder of a kit."""

_FILE = re.compile(r"[0-9a-f]{16}\.[a-z0-9]{1,8}")
_KIND = Kind("hwsearch-kit", 1, "kit", "job list", "hwsearch kit")


@dataclass(frozen=True)
class JobList:
    """What a kit asks for.

    Attributes:
        header: What all visits have in common, but for what the device itself decides.
        threads: CPU threads a call; 0 means all cores, at most 4.
        budget_seconds: Most time inside the measuring process unless the device's user says.
        ships: Heads and preprocessing whose blocks are among the jobs.
        max_blocks: The most blocks of the space itself that the jobs were chosen by.
        files: Hashes of the files in the folder `MODELS`, by name.
        references: Files of the small and the large reference.
        jobs: File by job; whole networks are told by how their names begin.
        max_celsius: While the device is hotter, nothing is measured unless its user says; 0
            means any.
    """

    header: dict[str, Any]
    threads: int
    budget_seconds: float
    ships: tuple[str, ...]
    max_blocks: int
    files: dict[str, str]
    references: tuple[str, str]
    jobs: dict[str, str]
    max_celsius: float = 0.0

    @property
    def identity(self) -> str:
        """Hash of what results depend on: not of how long, how warm and with how many threads."""
        same = asdict(self) | {"threads": 0, "budget_seconds": 0}
        del same["max_celsius"]
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    @property
    def model_sha256(self) -> dict[str, str]:
        """Hashes of the files by job."""
        return {job: self.files[name] for job, name in self.jobs.items()}

    @property
    def built_from(self) -> dict[str, str]:
        """Hashes of the files by job, the references among them; see `with_references`."""
        files = with_references(self.references, self.jobs)
        return {job: self.files[name] for job, name in files.items()}

    def damaged(self, folder: Path) -> tuple[str, ...]:
        """Returns the files of the kit in a folder that are missing or not what they should be."""
        return damaged_files(folder / MODELS, self.files)

    def write(self, path: Path) -> None:
        """Writes the list as JSON."""
        _KIND.write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "JobList":
        """Reads what `write` wrote.

        Raises:
            HwsearchError: If there is none, or it is damaged or of another version.
        """
        return _KIND.read(path, lambda values: cls(**_checked(values)))


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses names that could lead out of the folder; raises ValueError or KeyError."""
    files, jobs = dict(values["files"]), dict(values["jobs"])
    small, large = values["references"]
    if not all(_FILE.fullmatch(name) for name in files):
        raise ValueError
    if not {small, large, *jobs.values()} <= set(files):
        raise ValueError
    lists = {"references": (small, large), "ships": tuple(values["ships"])}
    return {**values, "files": files, "jobs": jobs, **lists}
