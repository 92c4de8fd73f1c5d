"""What a reader must know about an estimate before relying on it."""

from hwsearch.measurement.statistics import Estimate

TARGET_STDERR = 0.01
"""Estimates with a larger standard error between passes are marked when the budget ended first."""


def flags_of(estimate: Estimate) -> tuple[str, ...]:
    """Returns the marks of an estimate: "noisy", "throttled", "budget" (ended before settled)."""
    unsettled = estimate.stderr_rel > TARGET_STDERR
    flags = {"noisy": estimate.noisy, "throttled": estimate.throttled, "budget": unsettled}
    return tuple(name for name, raised in flags.items() if raised)
