"""How a budget is split between whole networks and blocks: decided by the first of both."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwsearch.device import usable_cores
from hwsearch.journal import read_journal
from hwsearch.kit.child import measure_in_child
from hwsearch.kit.order import KIND, Order
from hwsearch.measurement import Settings, Visit
from hwsearch.profiling.models import network_models, reference_models
from hwsearch.profiling.plan import Plan
from hwsearch.profiling.workshop import job_of
from hwsearch.progress import say
from hwsearch.runtime import get_runtime
from hwsearch.spaces import get_space

NETWORK_SHARE = 0.5
"""Share of the budget for whole networks; blocks get the rest."""

MOST_EVIDENCE, FEWEST_EVIDENCE = 120, 20
"""With 120 networks beside the blocks, small spaces are predicted to better than 1 %."""

TRANSFER = (30, 10)
"""Networks to learn from and to judge by where an earlier table is started from."""

EVIDENCE_A_HELDOUT = 3
"""A quarter of the networks judge the predictor."""

_VISIT_SECONDS = 0.03
"""What a visit of an engine takes whose window is the shortest, both references included."""

_PROBE_SECONDS = 20.0


@dataclass(frozen=True)
class Ends:
    """The smallest and the largest network of a space.

    Attributes:
        call_ms: Milliseconds of a call of each.
        build_seconds: Mean time of building one.
    """

    call_ms: tuple[float, float]
    build_seconds: float


def decided(plan: Plan, evidence: int | None, heldout: int | None) -> Plan:
    """Fills in how many networks are measured: as asked, as earlier runs did, or as time allows.

    Args:
        plan: What to measure, without these numbers.
        evidence: Networks to learn from, or None to decide.
        heldout: Networks to judge by, or None to decide.
    """
    if evidence is None or heldout is None:
        earlier, asked = _earlier(plan), evidence
        chosen = earlier or _chosen(plan, asked)
        evidence = chosen[0] if asked is None else asked
        heldout = chosen[1] if heldout is None else heldout
        if asked is None and not earlier and not plan.source:
            say(f"the budget allows {evidence} networks as evidence and {heldout} held out")
    if plan.source:
        say(f"starting from {plan.source}: {evidence} networks correct it, {heldout} judge it")
    return replace(plan, evidence=evidence, heldout=heldout)


def _chosen(plan: Plan, evidence: int | None) -> tuple[int, int]:
    if evidence is not None:
        return evidence, evidence // EVIDENCE_A_HELDOUT
    if plan.source:
        return TRANSFER
    return networks_within(plan.budget_seconds, probe(plan), plan.pace_hz)


def networks_within(budget_seconds: float, ends: Ends, pace_hz: float = 0.0) -> tuple[int, int]:
    """Returns how many networks to learn from and to judge by fit a budget.

    They lie evenly over the logarithm of the multiply-accumulates, so their times lie about
    evenly over that of the times. Building them may take as long as measuring.

    Args:
        budget_seconds: Time inside the measuring process.
        ends: What the smallest and the largest network take.
        pace_hz: Calls a second; 0 means back to back.
    """
    settings = Settings(budget_seconds, pace_hz=pace_hz)
    calls_ms = np.geomspace(*ends.call_ms, 16)
    shortest = max(settings.window_seconds, settings.paced_seconds)
    windows = np.maximum(shortest, (settings.min_calls + 0.5) * calls_ms / 1e3)
    visit = float((_VISIT_SECONDS + windows - settings.window_seconds).mean())
    measured = NETWORK_SHARE * budget_seconds / (settings.min_passes * visit)
    built = budget_seconds / max(ends.build_seconds, 1e-9)
    evidence = min(measured, built) * EVIDENCE_A_HELDOUT / (EVIDENCE_A_HELDOUT + 1)
    evidence = int(np.clip(evidence, FEWEST_EVIDENCE, MOST_EVIDENCE))
    return evidence, evidence // EVIDENCE_A_HELDOUT


def probe(plan: Plan) -> Ends:
    """Builds and times the smallest and the largest network of a plan's space.

    Raises:
        HwsearchError: If one cannot be built or run.
    """
    models = network_models(get_space(plan.space), 2, 0, seed=plan.seed)
    references, began = reference_models(), time.monotonic()
    built = plan.workshop.build_all((*references, *models), lambda *done, **note: None)
    at_once = usable_cores() if get_runtime(plan.runtime).slow_build else 1
    build_seconds = (time.monotonic() - began) / (len(models) + len(references))
    small, large = (built[model.job].engine for model in references)
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as folder:
        order = Order(
            journal=Path(folder) / "visits.jsonl",
            header={},
            runtime=plan.runtime,
            precision=plan.precision,
            threads=plan.threads,
            references=(small, large),
            jobs=tuple(job_of(model, built[model.job]) for model in models),
            settings=Settings(_PROBE_SECONDS, min_passes=1, target_stderr=1e9),
        )
        measure_in_child(order, Path(folder), lambda visits: None, say)
        rows = read_journal(order.journal, KIND)[1]
    found = sorted(Visit.from_row(row).window.p50_ms for row in rows if "visit" in row)
    times = found or [1e3 * _PROBE_SECONDS]  # loading alone took longer
    return Ends((times[0], times[-1]), build_seconds / at_once)


def _earlier(plan: Plan) -> tuple[int, int] | None:
    """What the journal of an earlier run was begun with."""
    if not plan.journal.exists() or plan.journal.stat().st_size == 0:
        return None
    header = read_journal(plan.journal, KIND)[0]
    return header["evidence"], header["heldout"]
