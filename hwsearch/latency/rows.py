"""What a latency table says: its header and its rows, as dataclasses and as JSON."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from hwsearch.subnet import Value

_FILE_NAME = re.compile(r"[A-Za-z0-9_.+@-]+")
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9_.+-]+")
_SHORT = 48


@dataclass(frozen=True)
class Reference:
    """One of the two networks that every sample is measured against.

    Attributes:
        name: "small" or "large".
        model_sha256: Hash of the ONNX file or exported program that its engine is built from.
        nominal_ms: Its latency in the quieter quarter of moments, in milliseconds.
    """

    name: str
    model_sha256: str
    nominal_ms: float


@dataclass(frozen=True)
class TableHeader:
    """What all rows of a table have in common.

    Attributes:
        space: Name of the space.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        batch: Images a call.
        threads: CPU threads a call.
        device: Name of the device profile.
        fingerprint: What must agree with a machine for the table to be its own.
        versions: Of the runtime, NumPy, Python and others that matter.
        provider: What really computed, as the runtime says.
        references: The small and the large reference.
        exponents: Powers of their slow-downs in the correction.
        seed: Seed of the networks that were drawn and of the order of visits.
        date: When the table was written, ISO 8601.
        visits: How many visits the rows come from.
        build_seconds: Time for exporting and building all engines.
        measure_seconds: Time inside the measuring process.
        ended: "settled", "budget" or "running".
        failed: Jobs without a row, and why.
        pace_hz: Calls a second; 0 means back to back.
        source: Table that predictions start from, as "device/name"; empty for most.
        source_sha256: Hash of its file.
    """

    space: str
    runtime: str
    precision: str
    batch: int
    threads: int
    device: str
    fingerprint: dict[str, str]
    versions: dict[str, str]
    provider: str
    references: tuple[Reference, Reference]
    exponents: tuple[float, float]
    seed: int
    date: str
    visits: int
    build_seconds: float
    measure_seconds: float
    ended: str
    failed: tuple[str, ...] = ()
    pace_hz: float = 0.0
    source: str = ""
    source_sha256: str = ""

    @property
    def name(self) -> str:
        """Name of the table, which is also that of its file."""
        return table_name(
            self.space,
            self.runtime,
            self.precision,
            batch=self.batch,
            threads=self.threads,
            pace_hz=self.pace_hz,
        )


def table_name(
    space: str, runtime: str, precision: str, *, batch: int, threads: int, pace_hz: float = 0.0
) -> str:
    """Returns the name of a table, such as "bottleneck-32-onnxruntime-fp32-b1-t2".

    One measured in a camera's rhythm ends in it, such as "-30hz".
    """
    rhythm = f"-{pace_hz:g}hz" if pace_hz else ""
    return f"{space_in_file_names(space)}-{runtime}-{precision}-b{batch}-t{threads}{rhythm}"


def space_in_file_names(space: str) -> str:
    """Returns the name of a space, or a short one with eight digits of its hash if that is none."""
    if _FILE_NAME.fullmatch(space):
        return space
    scheme, _, rest = space.partition(":")
    short = _NOT_IN_FILE_NAMES.sub("-", f"{scheme}-{Path(rest).name}")[:_SHORT].strip("-")
    return f"{short}-{hashlib.sha256(space.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Row:
    """What was measured of one block or network.

    Attributes:
        kind: "block" or "network".
        key: `Block.key`, or for a network what `Space.key` gives.
        latency_ms: Milliseconds of a call that nothing disturbs, at the references' nominal speed.
        stderr_rel: Relative standard error between passes.
        passes: Visits that count.
        p10_ms: Tenth percentile within a window.
        p50_ms: Median within a window.
        p90_ms: Ninetieth percentile within a window.
        p99_ms: Ninety-ninth percentile within a window; of few calls nearly the longest.
        pass_ratios: Each visit's corrected latency, relative to `latency_ms`.
        engine_sha256: Hash of the engine's main file.
        flags: Any of "noisy", "throttled" and "budget" (stopped before it settled).
        subnet: Values by dimension (empty for blocks).
        split: "evidence" or "heldout" (empty for blocks).
        sensors: Median readings of "mhz", "celsius" and "mj_a_call" (millijoules of the processor
            a call), as far as the machine tells.
    """

    kind: str
    key: str
    latency_ms: float
    stderr_rel: float
    passes: int
    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    pass_ratios: tuple[float, ...] = field(repr=False)
    engine_sha256: str = field(repr=False)
    flags: tuple[str, ...] = ()
    subnet: dict[str, Value] = field(default_factory=dict)
    split: str = ""
    sensors: dict[str, float] = field(default_factory=dict)


def row_as_dict(row: Row) -> dict[str, Any]:
    """Returns a row as JSON values, without what is empty for its kind."""
    values = asdict(row) | {"pass_ratios": [round(ratio, 4) for ratio in row.pass_ratios]}
    return {
        name: value
        for name, value in values.items()
        if value or name not in ("subnet", "split", "sensors")
    }


def row_from_dict(values: Mapping[str, Any]) -> Row:
    """Reads what `row_as_dict` gave; raises TypeError or KeyError for anything else."""
    tuples = {name: tuple(values[name]) for name in ("pass_ratios", "flags")}
    return _checked(Row(**{**values, **tuples}))


def header_from_dict(values: Mapping[str, Any]) -> TableHeader:
    """Reads `asdict` of a header; raises TypeError, KeyError or ValueError for anything else."""
    small, large = (_checked(Reference(**reference)) for reference in values["references"])
    header = TableHeader(**{**values, "references": (small, large)})
    first, second = header.exponents
    return _checked(replace(header, exponents=(first, second), failed=tuple(header.failed)))


Part = TypeVar("Part", TableHeader, Reference, Row)


def _checked(values: Part) -> Part:
    """Returns a dataclass if its fields hold what they say; raises TypeError otherwise."""
    for part in fields(values):
        if not _fits(getattr(values, part.name), part.type):
            raise TypeError(part.name)
    return values


def _fits(value: Any, declared: Any) -> bool:  # noqa: ANN401 - as JSON and annotations have it
    kind, inner = get_origin(declared) or declared, get_args(declared)
    if kind is float:
        return type(value) in (int, float)
    if not inner or kind is UnionType:
        return isinstance(value, declared)
    if not isinstance(value, kind):
        return False
    held = value.values() if isinstance(value, dict) else value
    return all(_fits(one, inner[-1] if kind is dict else inner[0]) for one in held)
