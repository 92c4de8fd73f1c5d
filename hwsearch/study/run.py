"""The verb study: trains many networks alone and finds out whether one of them wins everywhere."""

from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import say
from hwsearch.report.page import can_draw_page
from hwsearch.study.figure import HEAT, RANKS, draw_heat_map, draw_ranks
from hwsearch.study.findings import Findings, find, told, write_findings
from hwsearch.study.gather import gather
from hwsearch.study.latencies import read_latencies
from hwsearch.study.options import StudyOptions
from hwsearch.study.page import study_page
from hwsearch.study.scores import Results
from hwsearch.study.show import show_findings
from hwsearch.study.statistics import FEWEST

__all__ = ["StudyOptions", "study"]

PAGE = "study.html"


def study(options: StudyOptions) -> Findings | None:
    """Finds out whether one network wins everywhere.

    Writes study.jsonl, the weights of every run, tables as CSV, figures and a page; a study that
    was killed goes on and repeats nothing, and one that is asked for more adds it.

    Returns:
        What was found out, or None in a dry run.

    Raises:
        HwsearchError: If something is missing or does not fit, or the folder holds another study;
            and in the end, when all is written, if some networks failed.
    """
    tables = [Table.read(find_table(text, options.tables_dir)) for text in options.tables]
    latencies = read_latencies(tables, options.read_networks())
    results = gather(options)
    if results is None:
        return None
    latencies = {
        (network.name, table): latencies[network.name, table]
        for network in results.networks
        for table in dict.fromkeys(table for _, table in latencies)
        if (network.name, table) in latencies
    }
    findings = find(results, latencies, options)
    give(findings, options)
    _tell_failed(results)
    return findings


def give(findings: Findings, options: StudyOptions) -> None:
    """Writes and prints what was found out."""
    title, out = title_of(findings.results, options), options.out
    show_findings(findings, title, options.source_task)
    files = write_findings(findings, title, out)
    for name in (HEAT, RANKS, PAGE):  # of an earlier run, which may have had more networks
        (out / name).unlink(missing_ok=True)
    if len(findings.results.networks) >= FEWEST:
        files += [draw_heat_map(findings, title, out), draw_ranks(findings, title, out)]
        if can_draw_page():
            write_atomic(out / PAGE, study_page(told(findings, title)))
            files.append(out / PAGE)
        else:
            say("For the interactive page, install plotly: pip install 'hwsearch[html]'")
    say(f"All of it in {out}: {', '.join(file.name for file in files)}")


def title_of(results: Results, options: StudyOptions) -> str:
    """Says in a line what was studied."""
    data = Path(options.data).parent.name if "*" in options.data else Path(options.data).name
    return (
        f"{len(results.networks)} networks trained by {options.method} on {data}, "
        f"{len(results.tasks)} tasks, {results.told_seeds}"
    )


def _tell_failed(results: Results) -> None:
    if not results.failed:
        return
    unit, cause = results.failed[-1]
    networks = len({one.network for one, _ in results.failed})
    raise HwsearchError(
        f"{networks} networks failed and are left out; {unit}: {cause}",
        fix="All else is written. Try them again with --retry-failed, or leave them out",
    )
