"""The kit on its device: checks itself, builds engines, measures, and writes one file."""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hwsearch
from hwsearch.device import detect, fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.journal import Busy, Journal, read_journal
from hwsearch.kit.child import build_in_child, measure_in_child
from hwsearch.kit.defaults import default_memory_bytes, default_threads
from hwsearch.kit.engines import Built, Engines
from hwsearch.kit.jobs import JOBS, MODELS, PROGRAM, RESULTS, JobList
from hwsearch.kit.order import KIND, BuildOrder, Order, failures, is_finished
from hwsearch.measurement import REFERENCES, Job, Settings
from hwsearch.plain import PlainLines, Ticker
from hwsearch.runtime import get_runtime

BUSY, INTERRUPTED = 75, 130
"""Exit statuses: another one is at work in this folder; stopped by Ctrl-C."""

_FIX = "Repeat the first run's options, or use another --out"


@dataclass(frozen=True)
class Choices:
    """What the device's user chose.

    Attributes:
        kit: Folder of the kit.
        threads: CPU threads a call.
        budget_seconds: Most time inside the measuring process.
        max_celsius: While the machine is hotter, nothing is measured; 0 means any.
        memory_bytes: Engines loaded at a time may take this much.
        out: The file of results.
    """

    kit: Path
    threads: int
    budget_seconds: float
    max_celsius: float
    memory_bytes: int
    out: Path

    @property
    def work(self) -> Path:
        """Folder of engines and messages, safe to delete."""
        return self.out.parent / "work"


def main(words: Sequence[str]) -> int:
    """Runs the kit that this package lies in.

    Args:
        words: The command line.

    Returns:
        The exit status: 0; 2 after an error, told in one line; `BUSY`; `INTERRUPTED`.
    """
    try:
        _run(Path(hwsearch.__file__).parents[2], words)
    except HwsearchError as error:
        print(f"measure_kit: error: {error}", file=sys.stderr)
        return BUSY if isinstance(error, Busy) else 2
    except KeyboardInterrupt:
        print("measure_kit: stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _run(folder: Path, words: Sequence[str]) -> None:
    jobs = JobList.read(folder / JOBS)
    given = _parser(jobs).parse_args(words)
    damaged = jobs.damaged(folder)
    if given.check:
        print("\n".join(damaged))
        return
    if damaged:
        raise HwsearchError(
            f"{len(damaged)} files are missing or damaged, such as {damaged[0]}",
            where=folder / MODELS,
            fix="Copy the kit again",
        )
    choices = Choices(
        kit=folder,
        threads=given.threads or default_threads(),
        budget_seconds=60 * given.budget_minutes,
        max_celsius=given.max_temperature,
        memory_bytes=given.memory_mb << 20 or default_memory_bytes(),
        out=given.out.absolute() if given.out else folder.absolute() / RESULTS,
    )
    if given.fresh:
        choices.out.unlink(missing_ok=True)
    measure_kit(jobs, choices)


def _parser(jobs: JobList) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=f"Measures {len(jobs.jobs)} engines of {jobs.header['runtime']}, "
        f"{jobs.header['precision']}. Stopped at any moment, the same command goes on.",
    )
    add = parser.add_argument
    minutes = jobs.budget_seconds / 60
    add("--budget-minutes", type=_positive, default=minutes, help="most time for measuring")
    add("--threads", type=_count, default=jobs.threads, help="CPU threads a call (0: up to 4)")
    rest = "rest while hotter, in degrees C (0: never)"
    add("--max-temperature", type=_degrees, default=jobs.max_celsius, help=rest)
    add("--memory-mb", type=_count, default=0, help="memory for loaded engines (0: a quarter)")
    add("--out", type=Path, help=f"the one file to bring back ({RESULTS} beside this program)")
    add("--fresh", action="store_true", help="forget an earlier run")
    add("--check", action="store_true", help="only name the files that are missing or damaged")
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number above 0, not '{text}'")
    return value


def _degrees(text: str) -> float:
    return 0.0 if text == "0" else _positive(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"takes a whole number, not '{text}'")
    return int(text)


def measure_kit(jobs: JobList, choices: Choices) -> None:
    """Builds and measures what is not measured yet.

    Args:
        jobs: What to measure.
        choices: How, and where results go.

    Raises:
        HwsearchError: If the runtime is missing, the references cannot be measured, or
            the file of results is of another kit, device or number of threads.
    """
    header = _header(jobs, choices)
    choices.work.mkdir(parents=True, exist_ok=True)
    with Journal.open(choices.out, KIND, header, fix=_FIX) as journal:
        if journal.repaired:
            say(journal.repaired)
        if jobs.ships and not any("ships" in row for row in journal):
            journal.append({"ships": list(jobs.ships)})
        finished = is_finished(journal.rows, choices.budget_seconds)
    if not finished:
        say(f"{header['device']}: {header['runtime']} {header['versions'][header['runtime']]}")
        built = _build(jobs, choices, header)
        _measure(jobs, choices, header, built)
    rows = read_journal(choices.out, KIND)[1]
    for job, reason in sorted(failures(rows).items()):
        say(f"failed: {job}: {reason}")
    seen = {row["visit"] for row in rows if "visit" in row}
    say(f"{len(seen)} of {len(jobs.jobs)} measured ({rows[-1]['ended']})")
    say(f"Bring back this file: {choices.out}")


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def _header(jobs: JobList, choices: Choices) -> dict[str, Any]:
    """What all visits have in common, device included."""
    runtime = get_runtime(jobs.header["runtime"])
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        runtime.name: runtime.version,
    }
    return {
        **jobs.header,
        "kit": jobs.identity,
        "threads": choices.threads,
        "device": jobs.header["device"] or detect().name,
        "fingerprint": fingerprint(),
        "versions": {**jobs.header["versions"], **found},
    }


def _build(jobs: JobList, choices: Choices, header: dict[str, Any]) -> dict[str, Built]:
    """Builds all engines and returns them by job, references by name alone."""
    began = time.monotonic()
    files = {**dict(zip(REFERENCES, jobs.references, strict=True)), **jobs.jobs}
    models = {job: choices.kit / MODELS / name for job, name in files.items()}
    engines = Engines(choices.work, header["runtime"], header["precision"])
    order = BuildOrder(
        choices.out, header, engines.folder, engines.runtime, engines.precision, models
    )
    lines = PlainLines("build engines", len(models), say)
    build_in_child(order, choices.work, lambda done: lines.advance(max(0, done - lines.done)), say)
    lines.advance(lines.total - lines.done)
    failed = failures(read_journal(choices.out, KIND)[1])
    built = {job: engines.build_file(path) for job, path in models.items() if job not in failed}
    _note_built(choices, header, built, time.monotonic() - began)
    return built


def _note_built(
    choices: Choices, header: dict[str, Any], built: dict[str, Built], seconds: float
) -> None:
    names = {name: f"reference {name}" for name in REFERENCES}
    hashes = {
        names.get(job, job): [made.model_sha256, made.engine_sha256] for job, made in built.items()
    }
    with Journal.open(choices.out, KIND, header) as journal:
        before: dict[str, Any] = {}
        for row in journal:
            before.update(row.get("jobs", {}))
        if hashes != {job: before.get(job) for job in hashes}:
            journal.append({"built": round(seconds, 2), "jobs": hashes})


def _measure(
    jobs: JobList, choices: Choices, header: dict[str, Any], built: dict[str, Built]
) -> None:
    small, large = (built[name].engine for name in REFERENCES)
    order = Order(
        journal=choices.out,
        header=header,
        runtime=header["runtime"],
        precision=header["precision"],
        threads=choices.threads,
        references=(small, large),
        jobs=tuple(
            Job(job, built[job].engine, built[job].size_bytes, job.startswith("network "))
            for job in jobs.jobs
            if job in built
        ),
        settings=Settings(
            choices.budget_seconds,
            pace_hz=header["pace_hz"],
            memory_bytes=choices.memory_bytes,
            seed=header["seed"],
        ),
        max_celsius=choices.max_celsius,
    )
    rows = read_journal(choices.out, KIND)[1]
    spent = sum(row["seconds"] for row in rows if "visit" in row)
    total = round(choices.budget_seconds)
    what = f"measure {len(order.jobs)} engines, seconds of at most {total}"
    ticker = Ticker(PlainLines(what, total, say, done=min(round(spent), total)).advance)
    measure_in_child(order, choices.work, ticker.news, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
