"""Precisions: the tables that tell of one network in other numbers, and which engine is best."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hwsearch.deploy.manifest import InPrecision
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.latency.table import Table
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import check_precision
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.spaces.precisions import EXACTNESS

AUTO = "auto"

LEAST_DISTANCE = 0.05
"""Distances below are taken for this when a share of them is meant: the teacher's own network has
none, and no other precision would be close enough to it."""


def check_precision_name(text: str) -> None:
    """Refuses what --precision does not take.

    Raises:
        HwsearchError: If it is no precision, nor auto, nor empty.
    """
    if text and text not in (AUTO, *EXACTNESS):
        raise unknown_name("value of --precision", text, (AUTO, *reversed(EXACTNESS)))


def searched_for(inputs: SearchInputs, table: Table, precision: str) -> list[Table]:
    """Returns the tables of a search that a network may be picked for.

    Args:
        inputs: Of the search.
        table: The one that was asked for.
        precision: Alone, or "auto" for all that the runtime was searched in.

    Raises:
        HwsearchError: If it was not searched in that precision.
    """
    every = [one for one in inputs.tables if _alike(one, table)]
    found = [one for one in every if precision in (AUTO, one.precision)]
    if not found:
        raise HwsearchError(
            f"the search has no {precision} table of {table.runtime}, so that none of its networks "
            "is known to be within max-latency-ms",
            where=inputs.options.out,
            fix=f"Search with a {precision} table as well, or use another --pick",
        )
    return found


def with_siblings(
    inputs: SearchInputs, table: Table, precision: str
) -> tuple[SearchInputs, list[Table]]:
    """Opens the tables of a network in other precisions, of the search or beside its table's file.

    Args:
        inputs: What was opened so far.
        table: The network's.
        precision: Alone, or "auto" for all.

    Returns:
        What was opened if it has them all, otherwise the same with them; and the tables, that of
        the most exact first.

    Raises:
        HwsearchError: If there is no table of that precision.
    """
    tables = _siblings(inputs, table, precision)
    if not all(one in inputs.tables for one in tables):
        paths = tuple(str(one.path) for one in tables)
        options = replace(inputs.options, tables=paths, tables_dir=None, limit=(), joint=False)
        inputs = open_inputs(options)
    return inputs, tables


def _siblings(inputs: SearchInputs, table: Table, precision: str) -> list[Table]:
    known = {one.precision: one for one in inputs.tables if _alike(one, table)}
    for other in EXACTNESS:
        header = replace(table.header, precision=other)
        path = table.path.with_name(f"{header.name}.jsonl")
        if other not in known and path.is_file():
            found = Table.read(path)
            known |= {other: found} if _alike(found, table) else {}
    if precision not in (AUTO, *known):
        _check_possible(table.runtime, precision)
        raise HwsearchError(
            f"there is no {precision} table like {table.name}",
            where=table.path.parent,
            fix=f"Measure one: hwsearch profile --space {table.space} --runtime {table.runtime} "
            f"--precision {precision} --batch {table.batch} --threads {table.threads}",
        )
    wanted = EXACTNESS[::-1] if precision == AUTO else (precision,)
    return [known[name] for name in wanted if name in known]


def _check_possible(name: str, precision: str) -> None:
    """Refuses a precision that a runtime does not offer, if the runtime is here."""
    try:
        runtime = get_runtime(name)
    except HwsearchError:
        return
    check_precision(runtime, precision)


def _alike(one: Table, other: Table) -> bool:
    first, second = (replace(table.header, precision="").name for table in (one, other))
    return (one.device, first, one.pace_hz) == (other.device, second, other.pace_hz)


def best_precision(
    found: Sequence[InPrecision], most_ms: Mapping[str, float] | None, tolerance: float
) -> InPrecision | None:
    """Returns the engine to deliver.

    Args:
        found: The most exact first.
        most_ms: With a budget what an engine may take in each precision: the closest to the
            teacher that is within it with 95 % probability.
        tolerance: Without one the fastest whose distance exceeds that of the most exact one by at
            most this share of it, or of `LEAST_DISTANCE`.

    Returns:
        The engine, or None if none is within the budget or none can be delivered.
    """
    told = [
        (one, one.distance, one.latency_ms, one.high_ms)
        for one in found
        if one.distance is not None and one.latency_ms is not None and one.high_ms is not None
    ]
    if most_ms is not None:
        within = [
            (distance, ms, one)
            for one, distance, ms, high in told
            if high <= most_ms[one.precision]
        ]
        return min(within, key=lambda row: row[:2])[2] if within else None
    if not told:
        return None
    exact = told[0][1]
    most = exact + tolerance * max(exact, LEAST_DISTANCE)
    return min((row for row in told if row[1] <= most), key=lambda row: row[2])[0]
