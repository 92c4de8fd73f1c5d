"""From visits to milliseconds: drift is taken out by both references, disturbance by quantiles.

Two things make one call differ from the next. The machine drifts (clocks, caches, memory)
within seconds to minutes, which both references see and a log-linear correction takes out. And
neighbours take a core or a cache away for moments, which only ever adds time: a low quantile
passes it by, within each window, over the passes of a job, and over the references' windows
around a visit alike. A reference's window next to a visit is no measure of drift: on one machine
those of a network larger than the cache scatter by 6 % while smaller networks repeat within .6 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hwsearch.measurement.samples import Visit
from hwsearch.measurement.sensors import Readings

NOMINAL_QUANTILE = 0.25
"""Which of all moments counts as the references' nominal speed."""

REFERENCE_QUANTILE = 0.1
"""Which of a reference's windows around a moment is its speed at that moment."""

NEAR_VISITS = 10
"""Visits before and after one whose references tell its moment's speed: about a second's worth."""

PASS_QUANTILE = 0.25
"""Which of a job's passes is its latency."""

PRIOR_PASSES = 4.0
"""Weight of the noise that all jobs share against a job's own: few passes tell little."""

FIRST_NOISE = 0.04
"""Noise between passes, relative, that is assumed before anything is known."""

RUN_NOISE = 0.006
"""What two processes with the same engines differ by, relative, however many their passes."""

USUAL_EXPONENTS = np.array([1.0, 0.0])
"""A slower processor slows all networks as it does the small reference, which lives in caches."""

USUAL_DRIFT = 0.01
"""Slow-downs of this size say as much about the exponents as `USUAL_EXPONENTS` do."""

MAX_EXPONENT = 1.5

_QUARTILE_DEVIATIONS, _QUARTILE_ERROR = 0.674, 1.36
"""For normal noise: median less lower quartile in deviations; the quartile's error times √n."""

_HUBER = 1.5
_ROUNDS = 15


@dataclass(frozen=True)
class Scale:
    """How visits become milliseconds.

    Attributes:
        nominal_ms: What the small and the large reference take in the quieter quarter of moments.
        exponents: Powers of their slow-downs that a job slows down with.
    """

    nominal_ms: tuple[float, float]
    exponents: tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What all visits of one job say.

    Attributes:
        job: Key of the job.
        latency_ms: Milliseconds of a call that nothing disturbs, at the references' nominal
            speed: the tenth percentile within windows, the lower quartile over passes.
        stderr_rel: Relative standard error of that.
        passes: How many visits it comes from.
        p10_ms: Tenth percentile within a window, likewise corrected, median over passes.
        p50_ms: Median within a window.
        p90_ms: Ninetieth percentile within a window.
        p99_ms: Ninety-ninth percentile within a window.
        pass_ratios: Each visit's corrected latency, relative to `latency_ms`.
        noisy: Whether most visits met a loud machine.
        throttled: Whether the processor throttled in any visit.
        readings: Medians over the visits of what sensors said.
    """

    job: str
    latency_ms: float
    stderr_rel: float
    passes: int
    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    pass_ratios: tuple[float, ...]
    noisy: bool
    throttled: bool
    readings: Readings


def fit_scale(visits: Sequence[Visit]) -> Scale:
    """Finds nominal times and exponents from all visits.

    The exponents are the robust slopes of the log latency over the logs of both references,
    within jobs: `log t = job + a·log small + b·log large`. On a machine that does not drift
    there is no slope to be seen, so they are pulled to the usual ones.

    Args:
        visits: At least one.
    """
    references = _reference_logs(visits)
    small, large = np.exp(np.quantile(references, NOMINAL_QUANTILE, axis=0))
    return Scale((float(small), float(large)), _exponents(visits, references))


def _exponents(visits: Sequence[Visit], references: np.ndarray) -> tuple[float, float]:
    _, groups = np.unique([visit.job for visit in visits], return_inverse=True)
    columns = np.column_stack([_logs(visits), references])
    for group in range(groups.max() + 1):
        columns[groups == group] -= np.median(columns[groups == group], axis=0)
    times, moves = columns[:, 0], columns[:, 1:]
    slopes = USUAL_EXPONENTS
    for _ in range(_ROUNDS):
        error = np.abs(times - moves @ slopes)
        spread = 1.48 * np.median(error) + 1e-4
        weights = np.minimum(1, _HUBER * spread / np.maximum(error, 1e-9))
        pull = weights.sum() * USUAL_DRIFT**2 * np.eye(2)
        weighted = moves.T * weights
        slopes = np.linalg.solve(weighted @ moves + pull, weighted @ times + pull @ USUAL_EXPONENTS)
    a, b = np.clip(slopes, 0.0, MAX_EXPONENT)
    return float(a), float(b)


def _logs(visits: Sequence[Visit]) -> np.ndarray:
    """Log milliseconds of the job in each visit, float[n]."""
    return np.log([visit.window.p10_ms for visit in visits])


def _reference_logs(visits: Sequence[Visit]) -> np.ndarray:
    """Log milliseconds of both references at the moment of each visit, float[n, 2].

    A low quantile of their windows before and after this visit and its neighbours in time.
    """
    around = [[[w.p10_ms for w in pair] for pair in (v.before, v.after)] for v in visits]
    order = np.argsort([visit.at for visit in visits], kind="stable")
    near = ((NEAR_VISITS, NEAR_VISITS), (0, 0), (0, 0))
    padded = np.pad(np.log(around)[order], near, mode="reflect" if len(visits) > 1 else "edge")
    spans = sliding_window_view(padded, 2 * NEAR_VISITS + 1, axis=0)
    speeds = np.empty((len(visits), 2))
    speeds[order] = np.quantile(spans, REFERENCE_QUANTILE, axis=(1, 3))
    return speeds


def summarise(visits: Sequence[Visit], scale: Scale | None = None) -> dict[str, Estimate]:
    """Derives each job's latency from its visits; a pure function.

    Args:
        visits: In any order.
        scale: That of an existing table, or None to fit it to these visits.

    Returns:
        Estimates by key of the job.
    """
    if not visits:
        return {}
    scale = scale or fit_scale(visits)
    slowdowns = _reference_logs(visits) - np.log(scale.nominal_ms)
    corrections = -(slowdowns @ scale.exponents)
    logs = _logs(visits) + corrections
    by_job: dict[str, list[int]] = {}
    for index, visit in enumerate(visits):
        by_job.setdefault(visit.job, []).append(index)
    shared = _shared_deviation([logs[indices] for indices in by_job.values()])
    return {
        job: _estimate([visits[i] for i in indices], logs[indices], corrections[indices], shared)
        for job, indices in by_job.items()
    }


def _deviation(logs: np.ndarray) -> float:
    """Standard deviation of the undisturbed passes, from the lower half of all."""
    quartile, median = np.quantile(logs, (PASS_QUANTILE, 0.5))
    return float(median - quartile) / _QUARTILE_DEVIATIONS


def _shared_deviation(logs: Sequence[np.ndarray]) -> float:
    deviations = [_deviation(values) for values in logs if len(values) > 2]
    return float(np.median(deviations)) if deviations else FIRST_NOISE


def _estimate(
    visits: list[Visit], logs: np.ndarray, corrections: np.ndarray, shared: float
) -> Estimate:
    passes = len(visits)
    log_latency = float(np.quantile(logs, PASS_QUANTILE))
    own = (passes - 1) * _deviation(logs) ** 2
    variance = (PRIOR_PASSES * shared**2 + own) / (PRIOR_PASSES + passes - 1)
    quantiles = [visit.window.quantiles_ms for visit in visits]
    p10, p50, p90, p99 = np.median(np.exp(corrections)[:, None] * quantiles, axis=0)
    return Estimate(
        job=visits[0].job,
        latency_ms=float(np.exp(log_latency)),
        stderr_rel=float(np.hypot(_QUARTILE_ERROR * np.sqrt(variance / passes), RUN_NOISE)),
        passes=passes,
        p10_ms=float(p10),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        pass_ratios=tuple(float(ratio) for ratio in np.exp(logs - log_latency)),
        noisy=sum(visit.noisy for visit in visits) > passes / 2,
        throttled=any(visit.throttled for visit in visits),
        readings=_median_readings([visit.readings for visit in visits]),
    )


def _median_readings(readings: Sequence[Readings]) -> Readings:
    known = [reading.as_dict() for reading in readings]
    names = {name for values in known for name in values}
    medians = {
        name: float(np.median([values[name] for values in known if name in values]))
        for name in names
    }
    return Readings.from_dict(medians)
