"""Proof: measurements that are in doubt are made again before they count for a budget."""

from collections.abc import Callable, Mapping

import numpy as np

from hwsearch.deploy.fields import Latency
from hwsearch.latency.lookup import of_measured
from hwsearch.profiling.remeasure import Measured
from hwsearch.progress import say

MOST_STDERR = 0.03
"""A larger relative standard error says that the machine was busy: then a latency may be far too
low, where the references were slowed down more than the engine."""


def high_ms(found: Measured) -> float:
    """Returns what an engine's latency is below with 95 % probability."""
    return float(of_measured(np.array(found.latency_ms), np.array(found.stderr_rel)).high_ms)


def measured_surely(
    expected: Mapping[str, Latency], measure: Callable[[], Mapping[str, Measured]]
) -> dict[str, Measured]:
    """Measures engines, and all of them once more if one is in doubt: then the slower counts.

    Args:
        expected: What is expected of each, by name.
        measure: Measures them, by the same names.
    """
    found = dict(measure())
    doubts = [why for name, its in expected.items() if (why := _doubt(its, found[name]))]
    if not doubts:
        return found
    say(f"A measurement {doubts[0]}: it is made again, and the slower one counts")
    again = measure()
    return {name: max(one, again[name], key=high_ms) for name, one in found.items()}


def _doubt(latency: Latency, found: Measured) -> str:
    """Says why a measurement proves nothing alone; nothing if it does."""
    if marks := [mark for mark in found.flags if mark in ("noisy", "throttled")]:
        return f"of {found.latency_ms:.3f} ms is {' and '.join(marks)}"
    if found.stderr_rel > MOST_STDERR:
        return f"of {found.latency_ms:.3f} ms is uncertain by {found.stderr_rel:.0%}"
    if high_ms(found) < latency.low_ms:
        expected = f"{latency.low_ms:.3f} to {latency.high_ms:.3f} ms"
        return f"of {found.latency_ms:.3f} ms is below what was expected, {expected}"
    return ""
