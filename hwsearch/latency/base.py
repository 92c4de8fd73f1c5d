"""Base estimates: from what is seen of a network to milliseconds, before any correction."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from hwsearch.latency.features import fit_rates

PENALTIES = np.geomspace(1e-4, 1e3, 22)
"""Ridge penalties that are tried."""

_FREE = 2
"""Columns without a penalty."""

_FLOOR = 0.2
"""No network takes less than this share of the fastest one that was measured."""


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
class Base:
    """A linear estimate of latency.

    Attributes:
        rates: Milliseconds per unit of each total, float[T].
        slopes: Milliseconds per unit of each scaled feature, float[F], or None for none.
        constant: Milliseconds of the average network beside both.
        floor_ms: The least that is estimated.
    """

    rates: np.ndarray
    slopes: np.ndarray | None = None
    constant: float = 0.0
    floor_ms: float = 0.0

    def ms(self, totals: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Estimates N networks from float[N, T] and float[N, F], float[N]."""
        found = totals @ self.rates
        if self.slopes is not None:
            found += inputs @ self.slopes
        found += self.constant
        return np.maximum(found, self.floor_ms)


FitBase = Callable[[Evidence], Base]


def cost_rates(evidence: Evidence) -> Base:
    """Combines the totals, such as block time and costs, none of them negatively."""
    return Base(fit_rates(evidence.totals, evidence.measured_ms))


def stage_ridge(evidence: Evidence) -> Base:
    """Ridge regression on the features of each part, by relative errors.

    The first total and a constant are free. Of the penalties on all else that one is taken with
    which each network is best estimated by the others.
    """
    ms = evidence.measured_ms
    columns = (np.ones(len(ms)), evidence.totals[:, 0], evidence.inputs)
    design = np.column_stack(columns) / ms[:, None]
    free = np.eye(design.shape[1])
    free[:_FREE] = 0.0

    def solved(penalty: float) -> tuple[float, np.ndarray]:
        inverse = np.linalg.solve(design.T @ design + penalty * _unit(design) * free, design.T)
        left_out = 1 - np.einsum("nf,fn->n", design, inverse)
        found = inverse.sum(1)
        return float(np.mean(((design @ found - 1) / left_out) ** 2)), found

    _, best = min((solved(penalty) for penalty in PENALTIES), key=lambda pair: pair[0])
    floor_ms = _FLOOR * float(ms.min())
    rates = best[1] * np.eye(evidence.totals.shape[1])[0]
    return Base(rates, best[_FREE:], float(best[0]), floor_ms)


def _unit(design: np.ndarray) -> float:
    """Makes penalties independent of the unit of time."""
    return float(np.mean(design[:, 0] ** 2))


BASES: tuple[FitBase, ...] = (cost_rates, stage_ridge)
"""The first is better with few networks (12 to 20), the second with many."""
