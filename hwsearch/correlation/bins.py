"""Bins of predicted latency, narrow enough that size cannot explain what is better inside one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.space import Space, Subnet

WIDEST = 0.1
"""Widest bin: its upper edge is at most a tenth above its lower one."""

ENDS = (0.05, 0.95)
"""Share of networks that are faster than the first bin's middle, and than the last one's."""


@dataclass(frozen=True)
class Bin:
    """Networks of nearly equal latency.

    Attributes:
        low_ms: Lower edge, which belongs to the bin.
        high_ms: Upper edge, which does not.
        subnets: Networks that were drawn from it.
        latency_ms: Their predicted latencies.
    """

    low_ms: float
    high_ms: float
    subnets: tuple[Subnet, ...]
    latency_ms: tuple[float, ...]

    @property
    def name(self) -> str:
        """Its edges in words."""
        return f"{self.low_ms:.4g} to {self.high_ms:.4g} ms"


def draw_bins(
    space: Space,
    mean_ms: Callable[[np.ndarray], np.ndarray],
    *,
    count: int,
    per_bin: int,
    width: float,
    seed: int,
) -> tuple[Bin, ...]:
    """Places bins evenly, by ratio, over the latencies of a space and draws networks from each.

    Args:
        space: Of the networks.
        mean_ms: Predicts milliseconds from codes int[N, D].
        count: Number of bins.
        per_bin: Networks drawn from each, no two equal.
        width: How far the upper edge of a bin is above its lower one, as a share.
        seed: Chooses the networks.

    Raises:
        HwsearchError: If bins would overlap or one has too few networks.
    """
    rng = np.random.default_rng(seed)
    codes = np.unique(space.pool(rng), axis=0)
    found_ms = mean_ms(codes)
    first, last = np.quantile(found_ms, ENDS)
    middles = np.geomspace(first, last, count) if count > 1 else np.array([np.sqrt(first * last)])
    if count > 1 and middles[1] / middles[0] < 1 + width:
        fitting = int(np.log(last / first) / np.log(1 + width)) + 1
        raise HwsearchError(
            f"{count} bins {width:.0%} wide do not fit between {first:.4g} and {last:.4g} ms",
            fix=f"Use --bins 1 to {fitting}, or a smaller --bin-width",
        )
    half = np.sqrt(1 + width)
    edges = [(middle / half, middle * half) for middle in middles]
    return tuple(_draw(space, codes, found_ms, edge, per_bin, rng) for edge in edges)


def _draw(  # noqa: PLR0917
    space: Space,
    codes: np.ndarray,
    found_ms: np.ndarray,
    edges: tuple[float, float],
    count: int,
    rng: np.random.Generator,
) -> Bin:
    low, high = edges
    inside = np.flatnonzero((found_ms >= low) & (found_ms < high))
    if len(inside) < count:
        raise HwsearchError(
            f"only {len(inside)} of {len(codes)} networks take {low:.4g} to {high:.4g} ms, not "
            f"{count}",
            fix=f"Use --per-bin {len(inside)} or fewer, or other --bins",
        )
    rows = np.sort(rng.choice(inside, count, replace=False))
    subnets = tuple(space.decode(code) for code in codes[rows])
    return Bin(float(low), float(high), subnets, tuple(found_ms[rows].tolist()))
