"""What can be wrong with learned gates, told in words."""

from collections.abc import Iterator

import numpy as np

from hwsearch.learn.gates import Gates

DECIDED = 0.9
"""Probability from which on a choice is made."""
OFF = 0.05
"""Relative difference from the target at which the penalty has failed."""
OPEN = 0.5
"""Mean share of the most entropy above which gates have not decided."""


def alarms(gates: Gates, expected_ms: float, target_ms: float, pull: float) -> Iterator[str]:
    """Yields a sentence for each thing that is wrong.

    Args:
        gates: At the end.
        expected_ms: Latency that they expect.
        target_ms: What it shall be.
        pull: The multiplier of the latency; negative where it has to ask for slower networks.
    """
    off = expected_ms / target_ms - 1
    slack = pull < 0 or off < -OFF
    smallest, largest = _at_end(gates, 0), _at_end(gates, -1)
    depths = np.array([dim.name.startswith("depth") for dim in gates.space.dims])
    if slack and depths.any() and smallest[depths].all():
        yield (
            "every stage has chosen its fewest blocks though latency asks for nothing: networks "
            "collapse to their shortcuts where deep ones learn too slowly; give more --epochs"
        )
    if slack and smallest.all():
        yield "every gate has chosen its smallest choice though latency asks for nothing"
    if off > OFF and largest.all():
        yield "every gate has chosen its largest choice against the penalty"
    if abs(off) > OFF:
        yield f"the gates expect {expected_ms:.3g} ms, {off:+.0%} off the target"
    if pull < 0:
        yield (
            "the held-out loss alone would take faster networks than the target, so latency limits "
            "nothing: it may not tell networks apart yet; give more --epochs"
        )
    if float(gates.entropy_D.mean()) > OPEN:
        yield "the gates have not decided: give more --epochs or a larger --gate-lr"


def _at_end(gates: Gates, end: int) -> np.ndarray:
    """Tells which dimensions have decided for their first or last choice, bool[D]."""
    p_D = np.array([p_M[:n][end] for p_M, n in zip(gates.p_DM, gates.space.shape, strict=True)])
    return p_D >= DECIDED
