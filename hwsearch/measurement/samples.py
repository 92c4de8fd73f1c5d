"""What the protocol takes and gives: jobs, and immutable visits with their references."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.measurement.sensors import NOTHING_READ, Readings

REFERENCES = ("small", "large")
"""Names of the two reference networks, in the order of every pair in this package."""

MAX_RAW = 64
"""Raw calls that are kept of a window; of more, every n-th."""

_DIGITS, _RAW_DIGITS = 6, 4


@dataclass(frozen=True)
class Job:
    """One engine to be measured.

    Attributes:
        key: Unique among the jobs.
        engine: Main file of the engine.
        size_bytes: Size of all its files.
        essential: Visited in every round; the others share what the budget leaves.
        precision: Numbers that it computes in, if they are not those of the references.
    """

    key: str
    engine: Path
    size_bytes: int
    essential: bool = True
    precision: str = ""


@dataclass(frozen=True)
class Window:
    """Quantiles over consecutive calls of one engine, the first call left out.

    Attributes:
        calls: How many calls the quantiles are over.
        p10_ms: Tenth percentile in milliseconds.
        p50_ms: Median in milliseconds.
        p90_ms: Ninetieth percentile in milliseconds.
        p99_ms: Ninety-ninth percentile in milliseconds; of few calls nearly the longest.
        raw_us: Single calls in microseconds, in order: all of them, or `MAX_RAW` at even steps.
    """

    calls: int
    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    raw_us: tuple[float, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, seconds: np.ndarray) -> "Window":
        """Condenses raw seconds float[n]; the first call meets cold caches and is not counted."""
        warm = seconds[1:] if len(seconds) > 1 else seconds
        at = np.linspace(0, len(warm) - 1, min(len(warm), MAX_RAW), dtype=int)
        p10_ms, p50_ms, p90_ms, p99_ms = (
            _short(float(quantile), _DIGITS)
            for quantile in np.quantile(warm, (0.1, 0.5, 0.9, 0.99)) * 1e3
        )
        raw_us = tuple(_short(call * 1e6, _RAW_DIGITS) for call in warm[at].tolist())
        return cls(len(warm), p10_ms, p50_ms, p90_ms, p99_ms, raw_us)

    @property
    def quantiles_ms(self) -> tuple[float, float, float, float]:
        """The quantiles, rising."""
        return self.p10_ms, self.p50_ms, self.p90_ms, self.p99_ms

    def as_list(self) -> list[float]:
        """Returns calls, p10, p50, p90, p99, then the raw calls."""
        return [self.calls, *self.quantiles_ms, *self.raw_us]

    @classmethod
    def from_list(cls, values: list[float]) -> "Window":
        """Reads what `as_list` gave."""
        calls, p10_ms, p50_ms, p90_ms, p99_ms, *raw_us = values
        return cls(int(calls), p10_ms, p50_ms, p90_ms, p99_ms, tuple(raw_us))


def _short(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


Pair = tuple[Window, Window]
"""One window of the small reference and one of the large."""


@dataclass(frozen=True)
class Visit:
    """One window of one job between two windows of both references.

    Attributes:
        job: Key of the job.
        number: How many visits this job had before.
        at: Unix time of the end in seconds.
        seconds: What the visit took, waiting and references included.
        window: The job's own calls.
        before: The references before it.
        after: The references after it.
        noisy: Whether a reference was far slower than in quiet moments.
        throttled: Whether the processor reported that it slowed itself down.
        readings: What the machine's sensors said, where it has any.
    """

    job: str
    number: int
    at: float
    seconds: float
    window: Window
    before: Pair
    after: Pair
    noisy: bool = False
    throttled: bool = False
    readings: Readings = NOTHING_READ

    def as_row(self) -> dict[str, Any]:
        """Returns the visit as a journal row."""
        return {
            "visit": self.job,
            "number": self.number,
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 4),
            "window": self.window.as_list(),
            "before": [window.as_list() for window in self.before],
            "after": [window.as_list() for window in self.after],
            "noisy": self.noisy,
            "throttled": self.throttled,
            **self.readings.as_dict(),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Visit":
        """Reads what `as_row` gave."""
        small_before, large_before = (Window.from_list(values) for values in row["before"])
        small_after, large_after = (Window.from_list(values) for values in row["after"])
        return cls(
            job=row["visit"],
            number=row["number"],
            at=row["at"],
            seconds=row["seconds"],
            window=Window.from_list(row["window"]),
            before=(small_before, large_before),
            after=(small_after, large_after),
            noisy=row["noisy"],
            throttled=row["throttled"],
            readings=Readings.from_dict(row),
        )
