"""From visits to milliseconds: drift is taken out by both references, then passes averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.measurement.samples import Visit, Window

NOMINAL_QUANTILE = 0.1
"""Which of all windows of a reference counts as quiet."""

PRIOR_VISITS = 4.0
"""Weight of the noise that all jobs share against a job's own: few passes tell little."""

USUAL_EXPONENTS = (0.4, 0.5)
"""Measured for ONNX Runtime and OpenVINO; they hold as far as the references hardly move."""

REFERENCE_NOISE = 0.02
"""Slow-downs of this size say as much about the exponents as `USUAL_EXPONENTS` do."""

MIN_EXPONENT, MAX_EXPONENT = 0.0, 1.5


@dataclass(frozen=True)
class Scale:
    """How visits become milliseconds.

    Attributes:
        nominal_ms: Medians of the small and the large reference in quiet windows.
        exponents: Powers of their slow-downs that a job slows down with.
    """

    nominal_ms: tuple[float, float]
    exponents: tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What all visits of one job say.

    Attributes:
        job: Key of the job.
        latency_ms: Milliseconds of a call at the references' nominal speed.
        stderr_rel: Relative standard error between passes.
        passes: How many visits count; noisy ones only count if there is nothing else.
        p10_ms: Tenth percentile within a window, likewise corrected.
        p50_ms: Median within a window.
        p90_ms: Ninetieth percentile within a window.
        pass_ratios: Each visit's corrected latency, relative to `latency_ms`.
        noisy: Whether no quiet visit was to be had.
        throttled: Whether a visit that counts was throttled.
    """

    job: str
    latency_ms: float
    stderr_rel: float
    passes: int
    p10_ms: float
    p50_ms: float
    p90_ms: float
    pass_ratios: tuple[float, ...]
    noisy: bool
    throttled: bool


def fit_scale(visits: Sequence[Visit]) -> Scale:
    """Finds nominal times and exponents from all visits.

    The exponents are the least-squares slopes of the log latency over the logs of both
    references, within jobs: `log t = job + a·log small + b·log large`. On a quiet machine the
    references' own noise would flatten them, so they are pulled to the usual ones.

    Args:
        visits: At least one.
    """
    small, large = (
        np.array([[visit.before[i].p50_ms, visit.after[i].p50_ms] for visit in visits])
        for i in (0, 1)
    )
    nominal = (
        float(np.quantile(small, NOMINAL_QUANTILE)),
        float(np.quantile(large, NOMINAL_QUANTILE)),
    )
    return Scale(nominal, _exponents(visits))


def _exponents(visits: Sequence[Visit]) -> tuple[float, float]:
    jobs, groups = np.unique([visit.job for visit in visits], return_inverse=True)
    quiet = np.array([not visit.noisy for visit in visits])
    times = np.log([visit.window.p50_ms for visit in visits])
    columns = np.column_stack([times, _slowdowns(visits)])[quiet]
    groups = groups[quiet]
    counts = np.maximum(np.bincount(groups, minlength=len(jobs)), 1)
    means = np.stack(
        [np.bincount(groups, column, minlength=len(jobs)) / counts for column in columns.T], axis=1
    )
    within = columns - means[groups]
    references = within[:, 1:]
    pull = len(within) * REFERENCE_NOISE**2 * np.eye(2)
    slopes = np.linalg.solve(
        references.T @ references + pull,
        references.T @ within[:, 0] + pull @ USUAL_EXPONENTS,
    )
    small, large = np.clip(slopes, MIN_EXPONENT, MAX_EXPONENT)
    return float(small), float(large)


def _slowdowns(visits: Sequence[Visit]) -> np.ndarray:
    """Mean log milliseconds of both references around each visit, float[n, 2]."""
    return np.array(
        [
            [0.5 * np.log(visit.before[i].p50_ms * visit.after[i].p50_ms) for i in (0, 1)]
            for visit in visits
        ]
    )


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
    log_corrections = (_slowdowns(visits) - np.log(scale.nominal_ms)) @ scale.exponents
    by_job: dict[str, list[int]] = {}
    for index, visit in enumerate(visits):
        by_job.setdefault(visit.job, []).append(index)
    counted = {job: _counted(visits, indices) for job, indices in by_job.items()}
    logs = {
        job: np.log([visits[i].window.p50_ms for i in indices]) - log_corrections[indices]
        for job, indices in counted.items()
    }
    shared = _shared_variance(list(logs.values()))
    return {
        job: _estimate(job, [visits[i] for i in indices], logs[job], shared)
        for job, indices in counted.items()
    }


def _counted(visits: Sequence[Visit], indices: list[int]) -> list[int]:
    quiet = [index for index in indices if not visits[index].noisy]
    return quiet or indices


def _shared_variance(logs: Sequence[np.ndarray]) -> float:
    """The median job's variance between passes; 4 % noise before anything is known."""
    variances = [float(np.var(values, ddof=1)) for values in logs if len(values) > 2]
    return float(np.median(variances)) if variances else 0.04**2


def _estimate(job: str, visits: list[Visit], logs: np.ndarray, shared: float) -> Estimate:
    passes = len(visits)
    log_latency = float(np.median(logs))
    scatter = float(np.sum((logs - logs.mean()) ** 2))
    variance = (PRIOR_VISITS * shared + scatter) / (PRIOR_VISITS + passes - 1)
    latency_ms = float(np.exp(log_latency))
    corrections = np.exp(logs) / [visit.window.p50_ms for visit in visits]
    p10, p50, p90 = np.median(
        [
            [correction * value for value in _quantiles(visit.window)]
            for correction, visit in zip(corrections, visits, strict=True)
        ],
        axis=0,
    )
    return Estimate(
        job=job,
        latency_ms=latency_ms,
        stderr_rel=float(np.sqrt(variance / passes)),
        passes=passes,
        p10_ms=float(p10),
        p50_ms=float(p50),
        p90_ms=float(p90),
        pass_ratios=tuple(float(ratio) for ratio in np.exp(logs - log_latency)),
        noisy=all(visit.noisy for visit in visits),
        throttled=any(visit.throttled for visit in visits),
    )


def _quantiles(window: Window) -> tuple[float, float, float]:
    return window.p10_ms, window.p50_ms, window.p90_ms
