"""From evidence to milliseconds: a base estimate, what corrects it, and how far to trust both."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from hwsearch.latency.gaussian import TYPICAL, GaussianProcess

COVERAGE = 0.9
"""Share of measurements that the interval of a prediction should hold."""

Base = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From totals float[n, T] and measured ms float[n] to ms per unit of each total, float[T]."""

_FOLDS = 5
_NORMAL = 1.6449
"""Deviations on each side that hold 90 % of a normal distribution."""


def block_sum(totals: np.ndarray, measured_ms: np.ndarray) -> np.ndarray:
    """Takes the sum of the block times, the first total, as it is."""
    return np.eye(totals.shape[1])[0]


@dataclass(frozen=True)
class Evidence:
    """What is known of n measured networks.

    Attributes:
        totals: Block time in ms, then costs, float[n, T].
        inputs: Scaled features, float[n, F].
        measured_ms: Latencies, float[n].
        noise: Their relative standard errors, float[n].
    """

    totals: np.ndarray
    inputs: np.ndarray
    measured_ms: np.ndarray
    noise: np.ndarray

    def rows(self, kept: np.ndarray) -> "Evidence":
        """Returns some of the networks."""
        return Evidence(*(getattr(self, field.name)[kept] for field in fields(self)))


@dataclass(frozen=True)
class Correction:
    """A base estimate, and a Gaussian process on the logarithm of measured over base.

    Attributes:
        rates: Milliseconds of the base per unit of each total, float[T].
        process: The correction.
        widening: Factor on its deviations.
        error: Mean absolute logarithmic error on evidence that was left out in turn.
    """

    rates: np.ndarray
    process: GaussianProcess
    widening: float = 1.0
    error: float = np.inf

    @classmethod
    def fit(cls, evidence: Evidence, base: Base, *, start: np.ndarray = TYPICAL) -> "Correction":
        """Fits base and process to all evidence, without a look at what either is worth."""
        rates = base(evidence.totals, evidence.measured_ms)
        ratio = np.log(evidence.measured_ms / (evidence.totals @ rates))
        process = GaussianProcess.fit(evidence.inputs, ratio, evidence.noise, start=start)
        return cls(rates, process)

    @classmethod
    def judged(cls, evidence: Evidence, base: Base) -> "Correction":
        """Fits to all evidence; error and widening come from leaving a fifth out in turn."""
        count = len(evidence.measured_ms)
        order = np.random.default_rng(0).permutation(count)
        whole = cls.fit(evidence, base)
        errors, surprises = np.empty(count), np.empty(count)
        for fold in range(_FOLDS):
            out, kept = order[fold::_FOLDS], np.delete(order, np.s_[fold::_FOLDS])
            part = cls.fit(evidence.rows(kept), base, start=whole.process.theta)
            errors[out], surprises[out] = part.misses(evidence.rows(out))
        rank = min(int(np.ceil((count + 1) * COVERAGE)), count)
        widening = float(np.sort(surprises)[rank - 1] / _NORMAL)
        return cls(whole.rates, whole.process, widening, float(errors.mean()))

    def misses(self, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
        """Returns absolute logarithmic errors, and the same in deviations, float[n] each."""
        mean, deviation = self.process.mean_and_deviation(evidence.inputs)
        base_ms = evidence.totals @ self.rates
        errors = np.abs(np.log(evidence.measured_ms / base_ms) - mean)
        return errors, errors / deviation

    def mean_ms(self, totals: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Predicts N networks without intervals, float[N]."""
        return (totals @ self.rates) * np.exp(self.process.mean(inputs))

    def interval_ms(self, totals: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Predicts mean, low and high of N networks, float[3, N]."""
        mean, deviation = self.process.mean_and_deviation(inputs)
        reach = _NORMAL * self.widening * deviation
        return (totals @ self.rates) * np.exp(np.stack([mean, mean - reach, mean + reach]))
