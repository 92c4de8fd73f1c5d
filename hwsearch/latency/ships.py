"""Latency of networks as they ship, and their energy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwsearch.block import Block
from hwsearch.heads import Extra, added_blocks
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import LatencyModel, Prediction
from hwsearch.latency.table import Table
from hwsearch.shipped import Shipped
from hwsearch.space import Subnet

ENERGY = "mj_a_call"
"""Sensor that a table's rows are read for energy from."""


@dataclass(frozen=True)
class ShippedLatency:
    """A latency model that counts what ships around the networks.

    Attributes:
        network: Tells the latency of networks alone, and of single blocks.
        shipped: What ships around them.
    """

    network: LatencyModel
    shipped: Shipped

    def predict(self, codes: np.ndarray) -> Prediction:
        """Predicts networks by code int[N, D]."""
        added_ms = self._all_added_ms(codes)
        return Prediction(*(ms + added_ms for ms in self.network.predict(codes)))

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Predicts networks by code int[N, D] without intervals, float[N]."""
        return self.network.mean_ms(codes) + self._all_added_ms(codes)

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Predicts one network; arrays of length 1."""
        added_ms = self.around_ms(subnet, self.shipped.extras)
        return Prediction(*(ms + added_ms for ms in self.network.predict_subnet(subnet)))

    def around_ms(self, subnet: Subnet, extras: tuple[Extra, ...]) -> float:
        """Tells what a head and preprocessing add to a network."""
        blocks = added_blocks(self.shipped.space.lower(subnet), extras)
        return sum(map(self.network.added_ms, blocks))

    def added_ms(self, block: Block) -> float:
        """Tells what a block adds to an engine that is called anyway."""
        return self.network.added_ms(block)

    @cached_property
    def _all_added_ms(self) -> Callable[[np.ndarray], np.ndarray]:
        return self.shipped.added(self.network.added_ms)


def fit_shipped(table: Table, shipped: Shipped) -> ShippedLatency:
    """Returns what tells the latency of networks as they ship; raises as `fit_latency`."""
    return ShippedLatency(fit_latency(table, shipped.space), shipped)


def fit_energy(table: Table, shipped: Shipped) -> ShippedLatency | None:
    """Returns what tells millijoules a call in place of milliseconds, predicted alike.

    Returns:
        The model, or None where the device has no sensor.

    Raises:
        HwsearchError: If some rows have energies, but too few to predict from.
    """
    rows = tuple(
        replace(row, latency_ms=row.sensors[ENERGY]) for row in table.rows if ENERGY in row.sensors
    )
    return fit_shipped(replace(table, rows=rows), shipped) if rows else None
