"""The kit on its device: checks itself, builds engines, measures, and writes one file."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsearch.kit.defaults import default_memory_bytes, default_threads
from hwsearch.kit.jobs import JOBS, MODELS, PROGRAM, RESULTS, JobList
from hwsearch.kit.listing import require_files
from hwsearch.kit.order import failures, is_finished, try_again
from hwsearch.kit.program import count, degrees, positive, run_program, say
from hwsearch.kit.site import Site, results_header
from hwsearch.measurement import REFERENCES, Job, Settings

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


def _run(folder: Path, words: Sequence[str]) -> None:
    jobs = JobList.read(folder / JOBS)
    given = _parser(jobs).parse_args(words)
    if not given.check:
        require_files(folder / MODELS, jobs.files, "kit")
    choices = Choices(
        kit=folder,
        threads=given.threads or default_threads(),
        budget_seconds=60 * given.budget_minutes,
        max_celsius=given.max_temperature,
        memory_bytes=given.memory_mb << 20 or default_memory_bytes(),
        out=given.out.absolute() if given.out else folder.absolute() / RESULTS,
    )
    if given.fresh:
        _forget(_site(jobs, choices))
    if given.check:
        print("\n".join(jobs.damaged(folder)))
    else:
        measure_kit(jobs, choices)


def _parser(jobs: JobList) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=f"Measures {len(jobs.jobs)} engines of {jobs.header['runtime']}, "
        f"{jobs.header['precision']}. Stopped at any moment, the same command goes on.",
    )
    add = parser.add_argument
    minutes = jobs.budget_seconds / 60
    add("--budget-minutes", type=positive, default=minutes, help="most time for measuring")
    add("--threads", type=count, default=jobs.threads, help="CPU threads a call (0: up to 4)")
    rest = "rest while hotter, in degrees C (0: never)"
    add("--max-temperature", type=degrees, default=jobs.max_celsius, help=rest)
    add("--memory-mb", type=count, default=0, help="memory for loaded engines (0: a quarter)")
    add("--out", type=Path, help=f"the one file to bring back ({RESULTS} beside this program)")
    add("--fresh", action="store_true", help="forget an earlier run")
    add(
        "--check",
        action="store_true",
        help="measure nothing, name the files that are missing or damaged",
    )
    return parser


def _forget(site: Site) -> None:
    with site.alone():
        site.forget()


def _site(jobs: JobList, choices: Choices) -> Site:
    """Opens the place of results; fails before anything is lost where the runtime is missing."""
    header = results_header(jobs.header, jobs.identity, choices.threads)
    return Site(choices.out, choices.out.parent / "work", header)


def measure_kit(jobs: JobList, choices: Choices) -> None:
    """Builds and measures what is not measured yet.

    Args:
        jobs: What to measure.
        choices: How, and where results go.

    Raises:
        Busy: If another run works in the same folder.
        HwsearchError: If the runtime is missing, the references cannot be measured, or
            the file of results is of another kit, device or number of threads.
    """
    site = _site(jobs, choices)
    with site.alone():
        _go_on(jobs, choices, site)


def _go_on(jobs: JobList, choices: Choices, site: Site) -> None:
    header = site.header
    with site.open(_FIX) as journal:
        if jobs.ships and not any("ships" in row for row in journal):
            journal.append({"ships": list(jobs.ships)})
        if not (finished := is_finished(journal.rows, choices.budget_seconds)):
            try_again(journal)
    if not finished:
        say(f"{header['device']}: {header['runtime']} {header['versions'][header['runtime']]}")
        _build_and_measure(jobs, choices, site)
    rows = site.rows()
    for job, reason in sorted(failures(rows).items()):
        say(f"failed: {job}: {reason}")
    seen = {row["visit"] for row in rows if "visit" in row}
    say(f"{len(seen)} of {len(jobs.jobs)} measured ({rows[-1]['ended']})")
    say(f"Bring back this file: {choices.out}")


def _build_and_measure(jobs: JobList, choices: Choices, site: Site) -> None:
    files = {**dict(zip(REFERENCES, jobs.references, strict=True)), **jobs.jobs}
    built = site.build({job: choices.kit / MODELS / name for job, name in files.items()})
    wanted = [
        Job(job, built[job].engine, built[job].size_bytes, job.startswith("network "))
        for job in jobs.jobs
        if job in built
    ]
    settings = Settings(
        choices.budget_seconds,
        pace_hz=site.header["pace_hz"],
        memory_bytes=choices.memory_bytes,
        seed=site.header["seed"],
    )
    site.measure(built, wanted, settings, choices.max_celsius)


if __name__ == "__main__":
    sys.exit(run_program("measure_kit", _run, sys.argv[1:]))
