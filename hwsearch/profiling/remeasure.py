"""Remeasure: engines on the scale of an existing table, by the same protocol."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal
from hwsearch.kit.child import measure_in_child
from hwsearch.kit.order import KIND, Order, failures
from hwsearch.latency.table import Table, require_this_device
from hwsearch.measurement import Job, Scale, Settings, Visit, summarise
from hwsearch.measurement.flags import flags_of
from hwsearch.plain import Ticker
from hwsearch.profiling.models import Model, reference_models
from hwsearch.profiling.workshop import Workshop
from hwsearch.progress import say, track
from hwsearch.runtime import get_runtime
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

MIN_SECONDS = 2.0
"""Few engines make short rounds: more of them spread the visits over time."""


@dataclass(frozen=True)
class Measured:
    """One engine's latency on a table's scale.

    Attributes:
        latency_ms: Milliseconds of a call that nothing disturbs, at the table's nominal speed.
        stderr_rel: Relative standard error between passes.
        passes: Visits that count.
        flags: As in a table's rows.
    """

    latency_ms: float
    stderr_rel: float
    passes: int
    flags: tuple[str, ...]


def remeasure(
    models: Mapping[str, Path],
    table: Table,
    *,
    budget_seconds: float,
    every: bool = True,
    precisions: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Measured]:
    """Measures engines against the references of a table, in a fresh process.

    Args:
        models: By a name of your choice, ONNX files or engines of the table's runtime.
        table: Gives runtime, precision, threads, references, nominal times and exponents.
        budget_seconds: Most time for all of them; less if they settle.
        every: Refuse to return if the time ended before each was measured.
        precisions: Of engines that compute in other numbers than the table's, by name.

    Returns:
        Latencies by the names given.

    Raises:
        HwsearchError: If the table is of another device, its references can no longer be
            made, an engine fails, or the time was too short.
    """
    require_this_device(table)
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as temporary:
        folder = Path(temporary)
        order = _order(models, table, folder, budget_seconds, precisions)
        with track("measure again, seconds", round(budget_seconds)) as advance:
            measure_in_child(order, folder, Ticker(advance).news, say)
        rows = read_journal(order.journal, KIND)[1]
    visits = [Visit.from_row(row) for row in rows if "visit" in row]
    scale = Scale(
        (table.header.references[0].nominal_ms, table.header.references[1].nominal_ms),
        table.header.exponents,
    )
    estimates = summarise(visits, scale)
    for name, reason in failures(rows).items():
        raise HwsearchError(f"the engine '{name}' failed: {reason}", where=models[name])
    if every and (missing := sorted(set(models) - set(estimates))):
        raise HwsearchError(
            f"the time ended before {', '.join(missing)} could be measured",
            fix=f"Use more than {budget_seconds:g} seconds",
        )
    return {
        name: Measured(
            estimate.latency_ms, estimate.stderr_rel, estimate.passes, flags_of(estimate)
        )
        for name, estimate in estimates.items()
    }


def remeasure_networks(
    subnets: Sequence[Subnet], table: Table, *, budget_seconds: float, every: bool = True
) -> dict[Subnet, Measured]:
    """Builds networks, with any weights, and measures them on the scale of a table.

    Args:
        subnets: Of the table's space.
        table: As `remeasure` takes it.
        budget_seconds: Likewise.
        every: Likewise.

    Returns:
        What was measured of those for which the time was enough.

    Raises:
        HwsearchError: As `remeasure` does.
    """
    space = get_space(table.space)
    models = {s: Model("network", space.key(s), space.lower(s), s) for s in subnets}
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as folder:
        workshop = Workshop(Path(folder), table.runtime, table.precision, table.batch)
        built = workshop.build_all([*models.values()], lambda *done, **note: None)
        engines = {str(s): built[model.job].engine for s, model in models.items()}
        found = remeasure(engines, table, budget_seconds=budget_seconds, every=every)
    return {subnet: found[str(subnet)] for subnet in subnets if str(subnet) in found}


def _order(
    models: Mapping[str, Path],
    table: Table,
    folder: Path,
    seconds: float,
    precisions: Mapping[str, str],
) -> Order:
    workshop = Workshop(folder, table.runtime, table.precision, table.batch)
    small, large = _references(table, workshop)
    return Order(
        journal=folder / "visits.jsonl",
        header={"table": table.name},
        runtime=table.runtime,
        precision=table.precision,
        threads=table.threads,
        references=(small, large),
        jobs=tuple(
            replace(_job(name, path, table, workshop), precision=precisions.get(name, ""))
            for name, path in models.items()
        ),
        settings=Settings(
            seconds, min_seconds=min(MIN_SECONDS, seconds / 2), pace_hz=table.pace_hz
        ),
        batch=table.batch,
    )


def _references(table: Table, workshop: Workshop) -> tuple[Path, Path]:
    """Builds the references again; they must be the table's own, byte by byte."""
    built = workshop.build_all(reference_models(), lambda note: None)
    small, large = (built[model.job] for model in reference_models())
    require_references(table, (small.model_sha256, large.model_sha256))
    return small.engine, large.engine


def require_references(table: Table, made_sha256: tuple[str, str]) -> None:
    """Refuses references that are not those of a table, byte by byte.

    Args:
        table: The table.
        made_sha256: Hashes of the files that the small and the large engine are built from.

    Raises:
        HwsearchError: If they differ.
    """
    for reference, digest in zip(table.header.references, made_sha256, strict=True):
        if reference.model_sha256 != digest:
            versions = ", ".join(f"{k} {v}" for k, v in table.header.versions.items())
            raise HwsearchError(
                f"the table's {reference.name} reference cannot be made again; "
                f"it came from {versions}",
                where=table.path,
                fix="Install those versions, or run hwsearch profile with --fresh",
            )


def _job(name: str, path: Path, table: Table, workshop: Workshop) -> Job:
    if not path.is_file():
        raise HwsearchError("there is no engine here", where=path)
    runtime = get_runtime(table.runtime)
    if path.suffix == ".onnx" and not table.runtime.startswith("onnxruntime"):
        path = workshop.build(path).engine
    size = sum(file.stat().st_size for file in runtime.files(path))
    return Job(name, path, size)
