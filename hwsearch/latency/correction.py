"""From evidence to milliseconds: a base estimate, what corrects it, and how far to trust both."""

from dataclasses import dataclass

import numpy as np

from hwsearch.latency.base import BASES, Base, Evidence, FitBase
from hwsearch.latency.gaussian import TYPICAL, GaussianProcess

COVERAGE = 0.9
"""Share of measurements that the interval of a prediction should hold."""

_FOLDS = 5
_NORMAL = 1.6449
"""Deviations on each side that hold 90 % of a normal distribution."""


@dataclass(frozen=True)
class Correction:
    """A base estimate, and a Gaussian process on the logarithm of measured over base.

    Attributes:
        base: The base estimate.
        process: The correction.
        widening: Factor on its deviations.
        error: Mean absolute logarithmic error on evidence that was left out in turn.
    """

    base: Base
    process: GaussianProcess
    widening: float = 1.0
    error: float = np.inf

    @classmethod
    def fit(cls, evidence: Evidence, base: FitBase, *, start: np.ndarray = TYPICAL) -> "Correction":
        """Fits base and process to all evidence, without a look at what either is worth."""
        fitted = base(evidence)
        ratio = np.log(evidence.measured_ms / fitted.ms(evidence.totals, evidence.inputs))
        process = GaussianProcess.fit(evidence.inputs, ratio, evidence.noise, start=start)
        return cls(fitted, process)

    @classmethod
    def best(cls, evidence: Evidence) -> "Correction":
        """Fits with every base and keeps the one that errs least on what it has not seen."""
        trials = [cls.judged(evidence, base) for base in BASES]
        return min(trials, key=lambda trial: trial.error)

    @classmethod
    def judged(cls, evidence: Evidence, base: FitBase) -> "Correction":
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
        return cls(whole.base, whole.process, widening, float(errors.mean()))

    def misses(self, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
        """Returns absolute logarithmic errors, and the same in deviations, float[n] each."""
        mean, deviation = self.process.mean_and_deviation(evidence.inputs)
        base_ms = self.base.ms(evidence.totals, evidence.inputs)
        errors = np.abs(np.log(evidence.measured_ms / base_ms) - mean)
        return errors, errors / deviation

    def mean_ms(self, totals: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Predicts N networks without intervals, float[N]."""
        return self.base.ms(totals, inputs) * np.exp(self.process.mean(inputs))

    def interval_ms(self, totals: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Predicts mean, low and high of N networks, float[3, N]."""
        mean, deviation = self.process.mean_and_deviation(inputs)
        reach = _NORMAL * self.widening * deviation
        return self.base.ms(totals, inputs) * np.exp(np.stack([mean, mean - reach, mean + reach]))
