"""Import: what a kit measured elsewhere, checked as if an enemy had sent it, becomes a table."""

from dataclasses import dataclass, replace
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields, write_atomic
from hwsearch.kit.jobs import JOBS, JobList
from hwsearch.latency.table import FOLDER, Table
from hwsearch.profiling.pack import models_of
from hwsearch.profiling.results import Results, read_results
from hwsearch.profiling.summary import Log, table_of
from hwsearch.progress import say

_ANOTHER = "Use another --out, or replace it with --fresh"


@dataclass(frozen=True)
class ImportOptions:
    """Which results become a table, and where."""

    results: Path
    """The file that a kit or a build folder wrote on its device: results.jsonl."""

    kit: Path | None = None
    """Folder of the kit, or build folder; that of the results by default."""

    out: Path = Path(FOLDER)
    """Folder of tables; the device gets a folder of its own in it."""

    fresh: bool = False
    """Replace another measurement of the same name."""


def import_results(options: ImportOptions) -> Path:
    """Checks the results of a kit and writes their table, and beside it what it is derived from.

    Returns:
        The path of the table.

    Raises:
        HwsearchError: If anything in the file is not what the kit would have written, or
            another measurement would be lost; nothing is written then.
    """
    jobs = _job_list(options)
    models = models_of(jobs)
    if {model.job for model in models} != set(jobs.jobs):
        raise HwsearchError(
            f"the space {jobs.header['space']} is another one than the kit was made for",
            where=options.results,
            fix="Make the kit again and measure anew",
        )
    results = read_results(options.results, jobs)
    table = table_of(options.out, results.header, Log.of(results.rows), models)
    path = options.out / table.device / f"{table.name}.jsonl"
    _keep(results, path, options.fresh)
    replace(table, path=path).write()
    _tell(table, path, len(models))
    return path


def _job_list(options: ImportOptions) -> JobList:
    path = (options.kit or options.results.parent) / JOBS
    if options.kit is None and not path.exists():
        found = "the kit is not beside these" if options.results.is_file() else "there are no"
        raise HwsearchError(
            f"{found} results", where=options.results, fix="Name the kit's folder with --kit"
        )
    return JobList.read(path)


def _keep(results: Results, table: Path, fresh: bool) -> None:
    """Writes the journal of a table unless another measurement would be lost.

    Raises:
        HwsearchError: If there is a table or journal of another measurement, or a table whose
            journal is not here.
    """
    journal = table.parent / ".journal" / table.name
    if not fresh:
        _check_fingerprint(results, table)
        if table.exists() and not journal.exists():
            raise HwsearchError("another table is here", where=table, fix=_ANOTHER)
        if journal.exists() and not results.data.startswith(journal.read_bytes()):
            raise HwsearchError(
                "these results do not go on from what is here", where=journal, fix=_ANOTHER
            )
    write_atomic(journal, results.data)


def _check_fingerprint(results: Results, path: Path) -> None:
    if not path.exists():
        return
    was = Table.read(path).header.fingerprint
    if fields := differing_fields(was, results.header["fingerprint"]):
        raise HwsearchError(
            f"a table of another device is here ({'; '.join(fields)})", where=path, fix=_ANOTHER
        )


def _tell(table: Table, path: Path, wanted: int) -> None:
    header = table.header
    for text in header.failed:
        say(f"failed: {text}")
    flagged = sum(bool(row.flags) for row in table.rows)
    say(
        f"{len(table.rows)} of {wanted} rows from {header.visits} visits on {header.device} "
        f"({header.ended}); {flagged} flagged\n{path}"
    )
