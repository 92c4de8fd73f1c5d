"""Contestants timed in turns, so that what slows the machine slows all of them."""

import time
from collections.abc import Callable, Mapping

import numpy as np

Contestants = Mapping[str, Callable[[], object]]
"""Work to be timed, by name."""

Seconds = dict[str, np.ndarray]
"""Seconds of each round, by contestant."""


def take_turns(
    contestants: Contestants,
    rounds: int,
    settle: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> Seconds:
    """Times all contestants once a round, in random order, after a round that is not counted.

    Args:
        contestants: Work to be timed.
        rounds: How often.
        settle: Called after each, before the clock stops; waits for a GPU.
        clock: Tells seconds; the processor's own do not count what other processes do.
    """
    rng, seconds = np.random.default_rng(0), {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in rng.permutation(list(contestants)).tolist():
            began = clock()
            contestants[name]()
            settle()
            if number:
                seconds[name].append(clock() - began)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(seconds: Seconds, name: str, over: str) -> dict[str, float]:
    """Returns the median over rounds of one contestant's time over another's, with its 95 %
    interval, bootstrapped over rounds.
    """
    ratios = seconds[name] / seconds[over]
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return {"median": float(np.median(ratios)), "low": float(low), "high": float(high)}
