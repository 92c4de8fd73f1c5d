"""The verb table: what a latency table holds, whether it is sound, and how two differ."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.table import Table as Grid

from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.errors import HwsearchError
from hwsearch.heads import is_extra
from hwsearch.latency.accuracy import Accuracy, Score, heldout_accuracy
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.predictor import subnet_of
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import console
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue

QUANTILES = (0.1, 0.5, 0.9)
"""Which ratios of two tables are shown."""


@dataclass(frozen=True)
class TableOptions:
    """Which table to look at, and how."""

    action: Literal["show", "check", "diff"] = "show"
    """Show what it holds and how good it is, check that it is sound, or compare two."""
    table: str = ""
    """Latency table: its name, DEVICE/NAME or file."""
    other: str = ""
    """The second table of diff."""
    tables_dir: Path | None = None
    """Folder to look for tables in first."""

    def __post_init__(self) -> None:
        if not self.table:
            raise HwsearchError(
                "no table was named", fix=f"Write hwsearch table {self.action} TABLE"
            )
        if (self.action == "diff") != bool(self.other):
            number = "two tables" if self.action == "diff" else "one table"
            raise HwsearchError(
                f"table {self.action} takes {number}",
                fix="Write hwsearch table diff TABLE OTHER to compare two",
            )


@dataclass(frozen=True)
class Check:
    """What was found when a table was checked.

    Attributes:
        this_device: Whether it was measured on this machine.
        marked: Rows that carry a flag.
        problems: What makes the table unusable; empty for a sound one.
    """

    this_device: bool
    marked: tuple[Row, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How rows of the same key compare, second table over first.

    Attributes:
        kind: "block" or "network".
        n: Number of keys that both tables have.
        ratios: Quantiles of the ratios at `QUANTILES`.
    """

    kind: str
    n: int
    ratios: tuple[float, ...]


def show_table(options: TableOptions) -> Accuracy | Check | tuple[Difference, ...] | None:
    """Does what the options say and prints what it finds.

    Returns:
        The accuracy (None without held-out networks), the check or the differences.

    Raises:
        HwsearchError: If a table cannot be read, fails its check, or two share no row.
    """
    table = Table.read(find_table(options.table, options.tables_dir))
    match options.action:
        case "show":
            return _show(table)
        case "check":
            return _check(table)
        case "diff":
            return _diff(table, Table.read(find_table(options.other, options.tables_dir)))


def _show(table: Table) -> Accuracy | None:
    header = table.header
    facts = Grid.grid(padding=(0, 2))
    for name, value in _facts(table):
        facts.add_row(name, value)
    console.print(f"[bold]{table.name}[/bold] on {header.device}", facts)
    if not table.networks("heldout"):
        console.print("No held-out networks: nothing to judge predictions by.")
        return None
    found = heldout_accuracy(table)
    print_accuracy(found)
    return found


def _facts(table: Table) -> Iterator[tuple[str, str]]:
    header = table.header
    noise = [row.stderr_rel for row in table.rows]
    yield "file", str(table.path)
    yield "measured", f"{header.date}, {header.provider}, ended: {header.ended}"
    yield "time", f"{header.measure_seconds:.0f} s measuring, {header.build_seconds:.0f} s building"
    yield "machine", ", ".join(f"{k} {v}" for k, v in header.fingerprint.items() if v)
    yield "versions", ", ".join(f"{k} {v}" for k, v in header.versions.items())
    nominal = ", ".join(f"{r.name} {r.nominal_ms:.4g} ms" for r in header.references)
    yield "references", nominal
    counts = [len(table.blocks), *(len(table.networks(s)) for s in ("evidence", "heldout"))]
    yield "rows", "{} blocks, {} networks as evidence, {} held out".format(*counts)
    if header.source:
        yield "starts from", header.source
    yield from _coverage(table)
    if noise:
        median, worst = np.quantile(noise, [0.5, 1])
        yield "noise", f"standard error {median:.1%} (median), {worst:.1%} (worst row)"
    if drift := [_drift(row.pass_ratios) for row in table.rows if len(row.pass_ratios) > 1]:
        yield "drift", f"later passes took {np.median(drift):+.1%} (median), references taken out"
    marked = sum(bool(row.flags) for row in table.rows)
    yield "marked", f"{marked} rows noisy, throttled or short of time; {len(header.failed)} failed"


def _coverage(table: Table) -> Iterator[tuple[str, str]]:
    """Tells how much of the space was measured."""
    networks = [row.latency_ms for row in table.rows if row.kind == "network"]
    if networks:
        yield "range", f"networks of {min(networks):.4g} to {max(networks):.4g} ms"
    space = get_space(table.space)
    if not isinstance(space, Catalogue):
        measured = sum(row.key in space.blocks for row in table.blocks)
        yield "coverage", f"{measured} of the {len(space.blocks)} blocks that networks can have"


def _drift(pass_ratios: Sequence[float]) -> float:
    """Returns how much longer the later half of the passes took, relative."""
    half = len(pass_ratios) // 2
    return float(np.median(pass_ratios[half:]) / np.median(pass_ratios[:half]) - 1)


def print_accuracy(found: Accuracy) -> None:
    """Prints a predictor's held-out accuracy, its baselines and its worst networks."""
    title = f"{found.predictor.n} held-out networks, noise {found.noise:.1%}"
    names = ("mean error", "median", "within 5 %", "10 %", "Spearman", "Kendall", "in interval")
    grid = Grid("", *names, title=f"{title}, {found.evidence} networks as evidence")
    for row in (found.predictor, *found.baselines):
        grid.add_row(row.name, *_score_cells(row))
    console.print(grid, "Worst networks:")
    for miss in found.worst:
        interval = f"{miss.low_ms:.4g} to {miss.high_ms:.4g}"
        numbers = f"{miss.measured_ms:.4g} ms, predicted {miss.predicted_ms:.4g} ({interval})"
        console.print(f"  measured {numbers}: {miss.subnet}", markup=False)


def _score_cells(row: Score) -> tuple[str, ...]:
    shares = row.mean_error, row.median_error, row.within_5, row.within_10
    ranks = ("-" if rank is None else f"{rank:.3f}" for rank in (row.spearman, row.kendall))
    coverage = "-" if row.coverage is None else f"{row.coverage:.0%}"
    return (*(f"{share:.1%}" for share in shares), *ranks, coverage)


def _check(table: Table) -> Check:
    differing = fingerprint_difference(table.header.fingerprint, fingerprint())
    marked = tuple(row for row in table.rows if row.flags)
    problems = tuple(_problems(table))
    console.print(f"{table.path}: every line is whole, {len(table.rows)} rows", markup=False)
    if differing:
        console.print(f"Measured on another machine; {', '.join(differing)} differ.")
    else:
        console.print("Measured on this machine.")
    for row in marked:
        flags = ", ".join(row.flags)
        console.print(f"{flags}: {row.key} (standard error {row.stderr_rel:.1%})", markup=False)
    for failed in table.header.failed:
        console.print(f"failed: {failed}", markup=False)
    if problems:
        raise HwsearchError(
            f"the table is unsound: {'; '.join(problems)}",
            where=table.path,
            fix=f"Run hwsearch profile --space {table.space} --runtime {table.runtime} again",
        )
    console.print("The table is sound.")
    return Check(not differing, marked, problems)


def _problems(table: Table) -> Iterator[str]:
    """Yields what makes a table unusable."""
    space = get_space(table.space)
    order = [(row.kind, row.key) for row in table.rows]
    if order != sorted(order):
        yield "its rows are not sorted"
    if len(set(order)) < len(order):
        yield "it has a row twice"
    foreign = [row.key for row in table.rows if not _belongs(row, space)]
    if foreign:
        yield f"{len(foreign)} rows are not of space '{space.name}', such as {foreign[0]}"
        return
    try:
        fit_latency(table, space)
    except HwsearchError as error:
        yield error.what


def _belongs(row: Row, space: Space) -> bool:
    if row.kind == "block":
        return row.key in space.blocks or is_extra(row.key)
    try:
        return space.key(subnet_of(row, space)) == row.key
    except HwsearchError:
        return False


def _diff(one: Table, other: Table) -> tuple[Difference, ...]:
    fields = [
        f"{name}: {value} and {getattr(other.header, name)}"
        for name, value in asdict(one.header).items()
        if name in ("space", "runtime", "precision", "batch", "threads", "pace_hz", "device")
        and value != getattr(other.header, name)
    ]
    differing = fingerprint_difference(one.header.fingerprint, other.header.fingerprint)
    found = tuple(_ratios(one, other))
    if not found:
        raise HwsearchError(
            f"no row of '{one.name}' is in '{other.name}'",
            fix="Compare tables of the same space",
        )
    console.print(
        "; ".join(fields) or "Same space, runtime, precision, batch, threads, pace, device."
    )
    console.print(f"Machines differ in {', '.join(differing)}." if differing else "Same machine.")
    quantiles = (f"{quantile:.0%} quantile" for quantile in QUANTILES)
    grid = Grid("second / first", "rows of both", *quantiles)
    for row in found:
        grid.add_row(row.kind, str(row.n), *(f"{ratio:.3f}" for ratio in row.ratios))
    console.print(grid)
    console.print(
        "The tables were measured apart, so their scales may differ by the state of the machine: "
        "measure both engines side by side before you call one slower.",
    )
    return found


def _ratios(one: Table, other: Table) -> Iterator[Difference]:
    for kind in ("block", "network"):
        first, second = (
            {row.key: row.latency_ms for row in table.rows if row.kind == kind}
            for table in (one, other)
        )
        ratios = [second[key] / first[key] for key in first if key in second]
        if ratios:
            yield Difference(kind, len(ratios), tuple(np.quantile(ratios, QUANTILES).tolist()))
