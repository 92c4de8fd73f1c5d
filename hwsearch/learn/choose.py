"""The network that gates stand for: the most probable one that has the target latency."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwsearch.latency.lookup import LatencyModel
from hwsearch.learn.gates import Gates
from hwsearch.space import Subnet

TOLERANCE = 0.05
"""How far the latency of the learned network may be off its target."""
MARGIN = 0.02
"""The same for one that is only predicted, so that its measurement is within `TOLERANCE`."""
LIKELIEST = 100_000
"""Networks that are looked through, the most probable first."""


@dataclass(frozen=True)
class Choice:
    """One network, and how well it meets the target.

    Attributes:
        subnet: The network.
        latency_ms: As measured, or else as predicted.
        measured: Which of both.
        fits: Whether it is as close to the target as was asked for.
        rank: How many networks are more probable.
    """

    subnet: Subnet
    latency_ms: float
    measured: bool
    fits: bool
    rank: int


def choose(
    gates: Gates,
    latency: LatencyModel,
    target_ms: float,
    measured: Callable[[Subnet], float | None] = lambda subnet: None,
) -> Choice:
    """Chooses the most probable network that has the target latency; else the nearest to it.

    Args:
        gates: How probable networks are.
        latency: Predicts their latency.
        target_ms: What it shall be.
        measured: Tells the latency of those that were measured.
    """
    codes = gates.likeliest(LIKELIEST)
    predicted_ms = latency.mean_ms(codes)
    off = np.abs(predicted_ms / target_ms - 1)
    for at in np.flatnonzero(off <= TOLERANCE):
        subnet = gates.space.decode(codes[at])
        known_ms = measured(subnet)
        if known_ms is not None and abs(known_ms / target_ms - 1) <= TOLERANCE:
            return Choice(subnet, known_ms, True, True, int(at))
        if known_ms is None and off[at] <= MARGIN:
            return Choice(subnet, float(predicted_ms[at]), False, True, int(at))
    at = int(off.argmin())
    subnet = gates.space.decode(codes[at])
    known_ms = measured(subnet)
    known, ms = known_ms is not None, float(predicted_ms[at]) if known_ms is None else known_ms
    return Choice(subnet, ms, known, abs(ms / target_ms - 1) <= TOLERANCE, at)
