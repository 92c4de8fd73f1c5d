"""Finalists: networks of the target latency that are worth a training of their own."""

import numpy as np

from hwsearch.latency.lookup import LatencyModel
from hwsearch.learn.choose import LIKELIEST, MARGIN
from hwsearch.learn.gates import Gates
from hwsearch.space import Subnet

ALIKE = 5
"""Two finalists differ in one of so many dimensions at least: neighbours tell little new."""


def finalists(
    gates: Gates, latency: LatencyModel, target_ms: float, count: int
) -> tuple[Subnet, ...]:
    """Chooses networks by turns: the most probable one, then the one of the most work.

    Weights that networks share for a short run favour what learns first. How much is computed in
    the same time is another sign of how good a network is, which no weights mislead.

    Args:
        gates: How probable networks are.
        latency: Predicts their latency.
        target_ms: What it shall be.
        count: Most networks; there may be fewer of that latency, or none.
    """
    space, rng = gates.space, np.random.default_rng(0)
    seen = [gates.likeliest(LIKELIEST), gates.draw(rng, LIKELIEST), space.pool(rng)]
    codes = np.unique(np.concatenate(seen), axis=0)
    codes = codes[np.abs(latency.mean_ms(codes) / target_ms - 1) <= MARGIN]
    signs = (gates.log_probability(codes), space.macs(codes))
    orders = [np.argsort(-sign, kind="stable") for sign in signs]
    apart, free = -(-codes.shape[1] // ALIKE), np.ones(len(codes), dtype=bool)
    taken: list[Subnet] = []
    while free.any() and len(taken) < count:
        order = orders[len(taken) % len(orders)]
        code = codes[order[free[order].argmax()]]
        free &= (codes != code).sum(1) >= apart
        taken.append(space.decode(code))
    return tuple(taken)
