"""What a search enlarges: fronts of one cost each, behind which there may be several.

With several costs, each direction asks for networks that keep budgets in one proportion: a network
is as dear as the cost that comes nearest to its budget. The hypervolume of all costs together is an
average over directions of what such fronts cover (Golovin and Zhang, arXiv 2006.04655).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pymoo.util.ref_dirs import get_reference_directions

from hwsearch.errors import HwsearchError
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.objectives import Objective
from hwsearch.space import Space

Aim = tuple[Objective, Objective]
"""Cost, positive, and missed limits behind one front."""

_PARTITIONS = 4
"""Directions: 5 for two costs, 15 for three."""

_LEAST_WEIGHT = 0.05
"""Share of a cost in the directions that all but leave it out."""


@dataclass(frozen=True)
class OneDevice:
    """The tables that are one choice; a network costs what it costs on the best that allows it.

    Attributes:
        tables: Costs and limits for each table.
        against: Costs that fronts are drawn against.
    """

    tables: tuple[DeviceLimits, ...]
    against: tuple[str, ...]

    def aims(self, space: Space) -> list[Aim]:
        """Returns a front to enlarge for each direction; one for one cost."""
        scales = (
            [_Scale(np.zeros(1), np.ones(1))] if len(self.against) == 1 else self._scales(space)
        )
        return [(partial(self._cost, scale), self.excess) for scale in scales]

    def _scales(self, space: Space) -> list["_Scale"]:
        pool_TKN = self._logs(space.pool(np.random.default_rng(0)))
        low_K = pool_TKN.min(axis=(0, 2))
        span_K = np.maximum(pool_TKN.max(axis=(0, 2)) - low_K, 1e-9)
        directions = get_reference_directions(
            "das-dennis", len(self.against), n_partitions=_PARTITIONS
        )
        weights = np.maximum(directions, _LEAST_WEIGHT)
        return [_Scale(low_K, 1 / (span_K * weight_K)) for weight_K in weights]

    def excess(self, codes: np.ndarray) -> np.ndarray:
        """Returns by how much networks miss the limits where they miss them least, float[N]."""
        return np.min([table.excess(codes) for table in self.tables], axis=0)

    def _logs(self, codes: np.ndarray) -> np.ndarray:
        """Logarithms of the costs of networks int[N, D] on each table, float[T, K, N]."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(
                [[table.costs.of(name)(codes) for name in self.against] for table in self.tables]
            )

    def _cost(self, scale: "_Scale", codes: np.ndarray) -> np.ndarray:
        """Costs of networks int[N, D] on the best table, float[N]; of one not allowed, any."""
        costs_TN = scale(self._logs(codes))
        allowed_TN = np.array([table.excess(codes) <= 0 for table in self.tables])
        least = np.where(allowed_TN, costs_TN, np.inf).min(axis=0)
        return np.where(allowed_TN.any(axis=0), least, costs_TN.min(axis=0))


@dataclass(frozen=True)
class _Scale:
    """One direction: turns several costs into one.

    Attributes:
        low_K: Logarithm of the least of each cost.
        slope_K: What a cost counts for above that.
    """

    low_K: np.ndarray
    slope_K: np.ndarray

    def __call__(self, logs_TKN: np.ndarray) -> np.ndarray:
        """Returns the cost that comes nearest to its budget, float[T, N]."""
        off_TKN = (logs_TKN - self.low_K[:, None]) * self.slope_K[:, None]
        return np.exp(off_TKN.max(axis=1))


def by_device(tables: Sequence[DeviceLimits], against: tuple[str, ...]) -> list[OneDevice]:
    """Sorts tables by the device that they are of.

    Raises:
        HwsearchError: If tables of one device are of unlike calls.
    """
    found: dict[str, list[DeviceLimits]] = {}
    for table in tables:
        found.setdefault(table.costs.target.device, []).append(table)
    for device, its in found.items():
        calls = {(one.costs.target.batch, one.costs.target.pace_hz) for one in its}
        if len(calls) > 1:
            raise HwsearchError(
                f"--joint cannot compare tables of {device} whose calls differ in batch or pace",
                where=", ".join(one.costs.label for one in its),
                fix="Give tables of one batch and pace, or leave --joint out",
            )
    return [OneDevice(tuple(its), against) for its in found.values()]
