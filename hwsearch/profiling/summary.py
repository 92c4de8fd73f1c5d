"""From a profiling journal to its latency table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hwsearch.kit.order import failures
from hwsearch.latency.rows import Reference, Row, TableHeader
from hwsearch.latency.table import Table, in_order
from hwsearch.measurement import REFERENCES, Estimate, Visit, fit_scale, summarise
from hwsearch.measurement.flags import flags_of
from hwsearch.profiling.models import Model


@dataclass(frozen=True)
class Log:
    """The rows of a profiling journal, by what they say.

    Attributes:
        visits: Completed visits.
        engines: Hashes of ONNX file and engine, by job.
        build_seconds: Time spent on building.
        measure_seconds: Time spent inside the measuring process, as far as it is known.
        ended: Why measuring ended, or "running".
        budget_seconds: The budget it ended with.
        provider: What really computed.
        failed: Jobs that ended the process, and why.
        ships: Heads and preprocessing that were ever asked for.
    """

    visits: tuple[Visit, ...]
    engines: dict[str, tuple[str, str]]
    build_seconds: float
    measure_seconds: float
    ended: str
    budget_seconds: float
    provider: str
    failed: dict[str, str]
    ships: tuple[str, ...]

    @property
    def seen(self) -> set[str]:
        """Jobs that were visited or have failed."""
        return {visit.job for visit in self.visits} | set(self.failed)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Log":
        """Sorts the rows of a journal."""
        engines: dict[str, tuple[str, str]] = {}
        for row in rows:
            engines |= {job: (onnx, engine) for job, (onnx, engine) in row.get("jobs", {}).items()}
        ends = [row for row in rows if "ended" in row]
        last = ends[-1] if ends and rows[-1] is ends[-1] else {}
        visits = tuple(Visit.from_row(row) for row in rows if "visit" in row)
        spent = sum(visit.seconds for visit in visits)
        return cls(
            visits=visits,
            engines=engines,
            build_seconds=sum(row.get("built", 0.0) for row in rows),
            measure_seconds=max(spent, sum(row["seconds"] for row in ends)),
            ended=last.get("ended", "running"),
            budget_seconds=last.get("budget_seconds", 0.0),
            provider=ends[-1]["provider"] if ends else "",
            failed=failures(rows),
            ships=tuple(sorted({text for row in rows for text in row.get("ships", ())})),
        )


def table_of(
    path: Path, header: Mapping[str, Any], log: Log, models: Sequence[Model], date: str = ""
) -> Table:
    """Derives the table of a journal; a pure function but for the date.

    Args:
        path: Where the table will be written.
        header: The journal's header.
        log: The journal's rows.
        models: What was to be measured; those without a visit get no row.
        date: ISO 8601; now if empty.
    """
    scale = fit_scale(log.visits)
    estimates = summarise(log.visits, scale)
    shared = ("space", "runtime", "precision", "batch", "threads", "pace_hz", "device")
    source = ("source", "source_sha256")
    rows = [_row(model, estimates[model.job], log) for model in models if model.job in estimates]
    return Table(
        path,
        TableHeader(
            **{
                name: header[name] for name in (*shared, *source, "fingerprint", "versions", "seed")
            },
            provider=log.provider,
            references=(
                Reference(REFERENCES[0], header["references"][0], _short(scale.nominal_ms[0])),
                Reference(REFERENCES[1], header["references"][1], _short(scale.nominal_ms[1])),
            ),
            exponents=(_short(scale.exponents[0]), _short(scale.exponents[1])),
            date=date or datetime.now(UTC).isoformat(timespec="seconds"),
            visits=len(log.visits),
            build_seconds=round(log.build_seconds, 1),
            measure_seconds=round(log.measure_seconds, 1),
            ended=log.ended,
            failed=tuple(f"{job}: {reason}" for job, reason in sorted(log.failed.items())),
        ),
        in_order(rows),
    )


def _row(model: Model, estimate: Estimate, log: Log) -> Row:
    return Row(
        kind=model.kind,
        key=model.key,
        latency_ms=_short(estimate.latency_ms),
        stderr_rel=_short(estimate.stderr_rel),
        passes=estimate.passes,
        p10_ms=_short(estimate.p10_ms),
        p50_ms=_short(estimate.p50_ms),
        p90_ms=_short(estimate.p90_ms),
        p99_ms=_short(estimate.p99_ms),
        pass_ratios=tuple(round(ratio, 4) for ratio in estimate.pass_ratios),
        engine_sha256=log.engines[model.job][1],
        flags=flags_of(estimate),
        subnet=model.subnet.as_dict() if model.subnet else {},
        split=model.split,
        sensors=estimate.readings.as_dict(),
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
