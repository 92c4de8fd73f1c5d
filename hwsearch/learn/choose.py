"""The network that is learned: the first preferred or most probable one of the target latency."""

from collections.abc import Callable, Sequence
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
    """

    subnet: Subnet
    latency_ms: float
    measured: bool
    fits: bool


def choose(
    gates: Gates,
    latency: LatencyModel,
    target_ms: float,
    measured: Callable[[Subnet], float | None] = lambda subnet: None,
    first: Sequence[Subnet] = (),
) -> Choice:
    """Chooses the first preferred, else most probable, network that has the target latency.

    If none has it, that is the nearest to it.

    Where none of the most probable ones has it, as when the gates are still open or expect another
    latency, networks that are drawn from the gates and from the whole space are looked at, too.

    Args:
        gates: How probable networks are.
        latency: Predicts their latency.
        target_ms: What it shall be.
        measured: Tells the latency of those that were measured.
        first: Networks that are preferred to more probable ones, the best first.
    """
    known = [gates.space.encode(subnet)[None] for subnet in first]
    codes = np.concatenate([*known, gates.likeliest(LIKELIEST)])
    found = _first(gates, codes, latency, target_ms, measured)
    if not found.fits:
        rng = np.random.default_rng(0)
        more = np.concatenate([codes, gates.draw(rng, LIKELIEST), gates.space.pool(rng)])
        more = more[np.argsort(-gates.log_probability(more), kind="stable")]
        found = _first(gates, more, latency, target_ms, measured)
    return found


def _first(
    gates: Gates,
    codes: np.ndarray,
    latency: LatencyModel,
    target_ms: float,
    measured: Callable[[Subnet], float | None],
) -> Choice:
    """Returns the first of networks int[N, D] that has the latency, or else the nearest one."""
    predicted_ms = latency.mean_ms(codes)
    off = np.abs(predicted_ms / target_ms - 1)

    def told(at: int) -> Choice:
        subnet = gates.space.decode(codes[at])
        known_ms = measured(subnet)
        ms = float(predicted_ms[at]) if known_ms is None else known_ms
        most = MARGIN if known_ms is None else TOLERANCE
        return Choice(subnet, ms, known_ms is not None, abs(ms / target_ms - 1) <= most)

    near = np.flatnonzero(off <= TOLERANCE).tolist()
    return next((one for one in map(told, near) if one.fits), told(int(off.argmin())))
