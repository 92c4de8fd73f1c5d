"""The place on a device where a kit works: one file of results, and a folder of engines."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.device import detect, fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_journal
from hwsearch.kit.child import build_in_child, measure_in_child
from hwsearch.kit.engines import Built, Engines
from hwsearch.kit.order import BEGINNING, KIND, BuildOrder, Order, failures
from hwsearch.kit.program import say
from hwsearch.measurement import REFERENCES, Job, Settings
from hwsearch.plain import PlainLines, Ticker
from hwsearch.runtime import get_runtime


def results_header(asked: Mapping[str, Any], identity: str, threads: int) -> dict[str, Any]:
    """Returns what all visits have in common, device included.

    Args:
        asked: What was known of it when the kit was made.
        identity: Hash of the kit.
        threads: CPU threads a call.

    Raises:
        HwsearchError: If the runtime is missing.
    """
    runtime = get_runtime(asked["runtime"])
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        runtime.name: runtime.version,
    }
    return {
        **asked,
        "kit": identity,
        "threads": threads,
        "device": asked["device"] or detect().name,
        "fingerprint": fingerprint(),
        "versions": {**asked["versions"], **found},
    }


@dataclass(frozen=True)
class Site:
    """Builds and measures; what is done is found again.

    Attributes:
        out: The file of results, a journal.
        work: Folder of engines and messages, safe to delete.
        header: The journal's header.
    """

    out: Path
    work: Path
    header: dict[str, Any]

    def alone(self) -> Journal:
        """Keeps other runs out of the folder until it is closed.

        Raises:
            Busy: If another run works there.
        """
        return Journal.open(self.work.with_name(f"{self.work.name}.lock"), "lock", {})

    def forget(self) -> None:
        """Removes the results of an earlier run.

        Raises:
            HwsearchError: If the file is something else.
        """
        if not self.out.is_file():
            return
        with self.out.open("rb") as file:
            first = file.read(len(BEGINNING))
        if not BEGINNING.startswith(first):  # a torn one may be shorter
            raise HwsearchError(
                "this is no file of results", where=self.out, fix="Name another --out"
            )
        self.out.unlink()

    def rows(self) -> list[dict[str, Any]]:
        """Returns what the results hold by now."""
        return read_journal(self.out, KIND)[1]

    def open(self, fix: str) -> Journal:
        """Creates the results or goes on with them, and says if their end was torn."""
        self.work.mkdir(parents=True, exist_ok=True)
        journal = Journal.open(self.out, KIND, self.header, fix=fix)
        if journal.repaired:
            say(journal.repaired)
        return journal

    def build(self, models: Mapping[str, Path]) -> dict[str, Built]:
        """Builds all engines; returns those that could be, by job, references by name alone.

        Args:
            models: Portable files, likewise.
        """
        began = time.monotonic()
        runtime, precision = self.header["runtime"], self.header["precision"]
        engines = Engines(self.work, runtime, precision)
        order = BuildOrder(self.out, self.header, self.work, runtime, precision, dict(models))
        lines = PlainLines("build engines", len(models), say)
        build_in_child(order, self.work, lambda done: lines.advance(max(0, done - lines.done)), say)
        lines.advance(lines.total - lines.done)
        failed = failures(self.rows())
        built = {job: engines.build_file(path) for job, path in models.items() if job not in failed}
        self._note_built(built, time.monotonic() - began)
        return built

    def _note_built(self, built: Mapping[str, Built], seconds: float) -> None:
        names = {name: f"reference {name}" for name in REFERENCES}
        hashes = {
            names.get(job, job): [made.model_sha256, made.engine_sha256]
            for job, made in built.items()
        }
        with Journal.open(self.out, KIND, self.header) as journal:
            before: dict[str, Any] = {}
            for row in journal:
                before.update(row.get("jobs", {}))
            if hashes != {job: before.get(job) for job in hashes}:
                journal.append({"built": round(seconds, 2), "jobs": hashes})

    def measure(
        self,
        built: Mapping[str, Built],
        jobs: Sequence[Job],
        settings: Settings,
        max_celsius: float,
    ) -> None:
        """Measures engines against the references.

        Args:
            built: Holds the references' engines, by name.
            jobs: What is measured.
            settings: How the time is spent.
            max_celsius: While the device is hotter, nothing is measured; 0 means any.
        """
        small, large = (built[name].engine for name in REFERENCES)
        order = Order(
            journal=self.out,
            header=self.header,
            runtime=self.header["runtime"],
            precision=self.header["precision"],
            threads=self.header["threads"],
            references=(small, large),
            jobs=tuple(jobs),
            settings=settings,
            max_celsius=max_celsius,
            batch=self.header["batch"],
        )
        spent = sum(row["seconds"] for row in self.rows() if "visit" in row)
        total = round(settings.budget_seconds)
        engines = "one engine" if len(jobs) == 1 else f"{len(jobs)} engines"
        what = f"measure {engines}, seconds of at most {total}"
        ticker = Ticker(PlainLines(what, total, say, done=min(round(spent), total)).advance)
        measure_in_child(order, self.work, ticker.news, say)
