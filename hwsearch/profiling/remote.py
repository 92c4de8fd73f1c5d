"""Profile another machine over ssh: copy a kit there, run it, and import what it measured."""

import hashlib
import shlex
import time
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit.jobs import JOBS, MODELS, PROGRAM, JobList
from hwsearch.kit.program import BUSY
from hwsearch.profiling.imported import ImportOptions, import_results
from hwsearch.profiling.link import Ended, Link
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.pack import kit_folder, make_kit
from hwsearch.profiling.recipe import how_to_install
from hwsearch.progress import say, track

REMOTE_FOLDER = ".cache/hwsearch"
"""Where kits go on the host, in the user's home."""

FILES_A_COPY = 20

BUSY_SECONDS, PATIENCE_SECONDS = 10.0, 600.0
"""How often a run that outlived its link is asked for, and how long beyond its budget."""


def profile_host(options: ProfileOptions) -> Path:
    """Measures a table on another machine; the same command goes on with an interrupted run.

    Args:
        options: What to measure, and `host`.

    Returns:
        The path of the table.

    Raises:
        Busy: If another run makes the same kit now.
        HwsearchError: If the host cannot be reached, lacks something, or the link stays dead.
    """
    link, folder = Link(options.host), kit_folder(options, options.out)
    link.reach("true")
    with Journal.open(folder.with_name(f"{folder.name}.lock"), "lock", {}):
        jobs = make_kit(options, folder)
    remote = _remote(jobs)
    results = f"results-t{options.threads}.jsonl"
    link.reach(f"mkdir -p {remote}/{MODELS}")
    start = f"{shlex.quote(options.host_python.removeprefix('~/'))} {remote}/{PROGRAM}"
    forget = f" --fresh --out {remote}/{results}" if options.fresh else ""
    _send(link, jobs, folder, f"{start} --check{forget}")
    limits = f"--budget-minutes {options.budget_minutes:g} --threads {options.threads}"
    limits += f" --max-temperature {options.max_temperature:g}"
    command = f"{start} {limits} --out {remote}/{results}"
    _measure(link, command, jobs, 60 * options.budget_minutes)
    home = folder / f"{hashlib.sha256(options.host.encode()).hexdigest()[:8]}-{results}"
    link.fetch(f"{remote}/{results}", home)
    return import_results(ImportOptions(home, folder, options.out, options.fresh))


def _send(link: Link, jobs: JobList, folder: Path, check: str) -> None:
    """Copies what the host does not have yet, as the kit's own `check` tells there."""
    remote = _remote(jobs)
    link.send([folder / JOBS, folder / PROGRAM, folder / "README.txt"], remote)
    missing: list[str] = []
    ended = link.run(check, missing.append)
    _require_success(link, ended, jobs)
    names = [name for name in sorted(jobs.files) if name in missing]
    with track(f"copy to {link.host}", len(names)) as advance:
        for first in range(0, len(names), FILES_A_COPY):
            files = [folder / MODELS / name for name in names[first : first + FILES_A_COPY]]
            link.send(files, f"{remote}/{MODELS}")
            advance(len(files))


def _remote(jobs: JobList) -> str:
    return f"{REMOTE_FOLDER}/{jobs.identity[:16]}"


def _measure(link: Link, command: str, jobs: JobList, budget_seconds: float) -> None:
    """Runs the kit; one that outlived its link is waited for."""
    deadline = time.monotonic() + budget_seconds + PATIENCE_SECONDS
    while (ended := link.run(command, lambda line: say(f"{link.host}: {line}"))).status == BUSY:
        if time.monotonic() > deadline:
            raise _busy(link)
        say(f"{link.host}: an earlier run still goes on; waiting for it")
        time.sleep(BUSY_SECONDS)
    _require_success(link, ended, jobs)


def _busy(link: Link) -> HwsearchError:
    return HwsearchError(
        f"another run goes on at {link.host}", fix="Stop it there, or wait for its end"
    )


def _require_success(link: Link, ended: Ended, jobs: JobList) -> None:
    if ended.status == BUSY:
        raise _busy(link)
    if ended.status:
        install = how_to_install(jobs.header["runtime"])
        raise HwsearchError(
            f"the kit failed on {link.host}: {ended.message}",
            fix=f"It needs Python 3.10 (--host-python) and there: {install}",
        )
