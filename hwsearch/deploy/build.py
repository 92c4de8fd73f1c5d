"""Build: the engine of a chosen network, of a choice of precisions, or within a budget, here."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from hwsearch.deploy.assemble import Assembler
from hwsearch.deploy.budget import Budget, open_budget
from hwsearch.deploy.compare import Comparison, compare, tell_precisions
from hwsearch.deploy.manifest import Latency, Manifest, write_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.precisions import AUTO, best_precision
from hwsearch.deploy.proof import measured_surely
from hwsearch.deploy.tell import tell_engine
from hwsearch.latency.table import Table
from hwsearch.progress import say
from hwsearch.search.evaluations import label_of
from hwsearch.search.front import FrontPoint
from hwsearch.search.pick import budget_ms

Made = tuple[Path, Manifest]
"""The folder of an engine, and its manifest, which is not in it yet."""


def build_here(
    assemble: Assembler,
    point: FrontPoint | None,
    tables: Sequence[Table],
    options: DeployOptions,
) -> None:
    """Makes an engine on this device; its folder appears when everything in it is verified.

    Args:
        assemble: Makes engines in a folder beside it.
        point: The network, or None if a budget is to choose it.
        tables: That it may be chosen for.
        options: What was asked for.

    Raises:
        HwsearchError: If no network is within the budget, or the engine computes something else.
    """
    if point is None:
        folder, manifest = _within(assemble, tables, options)
    elif options.precision == AUTO:
        found = compare(assemble, point)
        best = best_precision(found.found, None, options.precision_tolerance)
        assert best is not None  # the most exact one is never too far from itself
        folder, manifest = _finish(found, best.precision)
    else:
        folder, manifest = assemble.folder, assemble(point)
    write_manifest(folder, manifest)
    folder.rename(options.out)
    tell_engine(options.out, manifest)


def _finish(found: Comparison, precision: str) -> Made:
    tell_precisions(found.found, precision)
    return found.finish(precision)


def _within(assemble: Assembler, tables: Sequence[Table], options: DeployOptions) -> Made:
    """Makes networks until the engine of one is within a budget, as measured."""
    limit_ms = budget_ms(options.pick)
    assert limit_ms is not None
    attempt = _best_within if options.precision == AUTO else _alone_within
    with open_budget(limit_ms, assemble.inputs, tables) as budget:
        budget.measure(options.budget_seconds)
        while True:
            point = budget.best()
            if made := attempt(budget, assemble, point):
                folder, manifest = made
                latency = replace(manifest.latency, limit_ms=limit_ms)
                return folder, replace(manifest, latency=latency)


def _alone_within(budget: Budget, assemble: Assembler, point: FrontPoint) -> Made | None:
    built, table = assemble.build(point), assemble.inputs.table(point.table)
    found = measured_surely(
        {"engine": built.known.latency}, lambda: {"engine": built.measured(table, assemble.seconds)}
    )
    manifest = assemble.finish(built, found["engine"])
    if budget.holds(point, manifest.latency):
        return assemble.folder, manifest
    _say_slower(budget, point, manifest.latency)
    return None


def _best_within(budget: Budget, assemble: Assembler, point: FrontPoint) -> Made | None:
    """Makes the network in every precision, and takes the best of those within the budget."""
    found = compare(assemble, point, surely=True)
    searched = {label_of(table) for table in budget.tables}
    for one in found.candidates.values():
        if one.point.table in searched:
            budget.holds(one.point, one.latency)
    every = found.candidates.items()
    most_ms = {name: budget.limit_ms - one.latency.around_ms for name, one in every}
    best = best_precision(found.found, most_ms, 0.0)
    if best is not None:
        return _finish(found, best.precision)
    tell_precisions(found.found, "")
    _say_slower(budget, point, found.of(point).latency)
    return None


def _say_slower(budget: Budget, point: FrontPoint, latency: Latency) -> None:
    say(
        f"{point.subnet} took {latency.taken} when it was built and measured: not within "
        f"{budget.limit_ms:g} ms with 95 % probability; the next is built"
    )
