"""Profile: measure blocks and networks of a space on this machine into a latency table."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit.child import measure_in_child
from hwsearch.kit.defaults import default_memory_bytes
from hwsearch.kit.engines import Built
from hwsearch.kit.order import KIND, Order, try_again
from hwsearch.latency.table import Table
from hwsearch.measurement import Settings
from hwsearch.measurement.flags import TARGET_STDERR
from hwsearch.plain import Ticker
from hwsearch.profiling.models import reference_models
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.plan import FIX, Plan
from hwsearch.profiling.remote import profile_host
from hwsearch.profiling.split import decided
from hwsearch.profiling.workshop import job_of
from hwsearch.progress import console, say, track

TABLE_SECONDS = 60.0
"""How often the table is written anew while measuring goes on."""


def profile(options: ProfileOptions) -> Path:
    """Measures blocks, evidence and held-out networks; an interrupted run goes on by itself.

    Returns:
        The path of the table.

    Raises:
        Busy: If another run measures the same table.
        HwsearchError: If a name is unknown, an earlier run differs in its options, versions or
            device, or the budget ends before every network has been measured.
    """
    if options.host:
        return profile_host(options)
    plan = options.plan()
    with plan.alone():
        return _profile(plan, options)


def _profile(plan: Plan, options: ProfileOptions) -> Path:
    if options.fresh:
        plan.journal.unlink(missing_ok=True)
    if not options.whole:
        plan = decided(plan, options.evidence, options.heldout)
    if not options.fresh:
        plan.require_own_table()
    if plan.is_measured(log := plan.log()):
        plan.require_ships(log)
        console.print(f"{plan.name} on {plan.device} is already measured", markup=False)
    else:
        _measure(plan, _build(plan), options.max_temperature)
    table = plan.write_table()
    _tell(table, plan)
    return table.path


def _build(plan: Plan) -> dict[str, Built]:
    """Exports and builds all engines, by job, and notes their hashes in the journal."""
    models, began = (*reference_models(), *plan.models), time.monotonic()
    plan.workshop.require_space(models)
    with track("build engines", len(models)) as advance:
        built = plan.workshop.build_all(models, advance)
    seconds, before = time.monotonic() - began, plan.log().engines
    hashes = {job: (made.model_sha256, made.engine_sha256) for job, made in built.items()}
    changed = [job for job in hashes if job in before and before[job][0] != hashes[job][0]]
    if changed:
        raise HwsearchError(
            f"{len(changed)} models are exported differently now, {changed[0]} among them",
            where=plan.journal,
            fix=FIX,
        )
    with Journal.open(plan.journal, KIND, plan.full_header(built), fix=FIX) as journal:
        if journal.repaired:
            console.print(journal.repaired, markup=False)
        try_again(journal)
        if new := sorted({*plan.ships} - {*plan.log().ships}):
            journal.append({"ships": new})
        if not hashes.items() <= before.items():
            journal.append({"built": round(seconds, 2), "jobs": hashes})
    return built


def _measure(plan: Plan, built: Mapping[str, Built], max_celsius: float) -> None:
    """Lets a fresh process measure until everything has settled or the time is over."""
    small, large = (built[model.job].engine for model in reference_models())
    settings = Settings(
        plan.budget_seconds,
        target_stderr=TARGET_STDERR,
        pace_hz=plan.pace_hz,
        memory_bytes=default_memory_bytes(),
        seed=plan.seed,
    )
    order = Order(
        journal=plan.journal,
        header=plan.full_header(built),
        runtime=plan.runtime,
        precision=plan.precision,
        threads=plan.threads,
        references=(small, large),
        jobs=tuple(job_of(model, built[model.job]) for model in plan.models),
        settings=settings,
        max_celsius=max_celsius,
    )
    blocks, every = sum(model.kind == "block" for model in plan.models), plan.every_block
    if blocks < every:
        console.print(f"the budget allows {blocks} of {every} blocks, evenly chosen by key")
    what = f"measure {len(plan.models) - blocks} networks and {blocks} blocks, seconds"
    folder = plan.workshop.folder / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    spent = min(plan.log().measure_seconds, plan.budget_seconds)
    with track(what, round(plan.budget_seconds), start=round(spent)) as advance:
        ticker, writer = Ticker(advance), _TableWriter(plan)
        measure_in_child(
            order, folder, lambda visits: (ticker.news(visits), writer.news(visits)), say
        )


@dataclass
class _TableWriter:
    """Writes the table now and then while measuring goes on."""

    plan: Plan
    written: float = field(default_factory=time.monotonic)

    def news(self, visits: int) -> None:
        if visits and time.monotonic() - self.written > TABLE_SECONDS:
            self.plan.write_table()
            self.written = time.monotonic()


def _tell(table: Table, plan: Plan) -> None:
    """Says what the table holds and how far it can be trusted.

    Raises:
        HwsearchError: If a network has no row because the budget was too small.
    """
    header, blocks = table.header, table.blocks
    networks = (*table.networks("evidence"), *table.networks("heldout"))
    flagged = sum(bool(row.flags) for row in table.rows)
    for text in header.failed:
        console.print(f"failed: {text}", markup=False)
    wanted = sum(model.kind == "network" for model in plan.models)
    if len(networks) + len(header.failed) < wanted:
        needed = plan.budget_seconds / 60 * 8 * wanted / max(len(networks), 1)
        raise HwsearchError(
            f"the budget ended when {len(networks)} of {wanted} networks were measured",
            where=table.path,
            fix=f"Go on with --budget-minutes {max(needed, 0.1):.1f}, or begin anew with fewer: "
            "--evidence, --heldout and --fresh",
        )
    console.print(
        f"{len(networks)} networks and {len(blocks)} blocks from {header.visits} visits; "
        f"median standard error {_median_percent(networks)} and {_median_percent(blocks)}; "
        f"{flagged} rows flagged\n"
        f"{header.build_seconds:.0f} s building, {header.measure_seconds:.0f} s measuring "
        f"({header.ended})\n{table.path}",
        markup=False,
    )
    if lacking := plan.lacking_ships(plan.log()):
        console.print(str(lacking), markup=False)


def _median_percent(rows: tuple) -> str:
    return f"{100 * np.median([row.stderr_rel for row in rows]):.1f} %" if rows else "none"
