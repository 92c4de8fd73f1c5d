"""What is known of a network before it is evaluated: what it costs on a device, as it ships."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.kinds import NUMBER_BYTES
from hwsearch.latency.ships import ShippedLatency, fit_energy, fit_shipped
from hwsearch.latency.table import Table
from hwsearch.search.evaluations import Target
from hwsearch.search.objectives import Objective
from hwsearch.shipped import Shipped

Against = Literal["latency_ms", "macs", "weights_mb", "peak_memory_mb", "energy_mj"]
"""Costs that fronts can be drawn against."""

COSTS = (*get_args(Against), "latency_high_ms", "images_per_s")
"""All that can be limited beside the distance; `latency_high_ms` is the upper end of the 90 %
interval, `images_per_s` what back-to-back calls of the table's batch give."""


@dataclass(frozen=True)
class Costs:
    """What networks cost on one device.

    Attributes:
        target: The conditions of its latency table.
        shipped: The networks, and what ships around them.
        latency: Tells their latency.
        energy: Tells their millijoules a call, or None where the table has no energies.
    """

    target: Target
    shipped: Shipped
    latency: ShippedLatency
    energy: ShippedLatency | None

    @classmethod
    def fit(cls, table: Table, shipped: Shipped) -> "Costs":
        """Fits what a table tells.

        Raises:
            HwsearchError: If the table is of another space or does not cover it.
        """
        return cls(
            Target.of(table), shipped, fit_shipped(table, shipped), fit_energy(table, shipped)
        )

    @property
    def label(self) -> str:
        """Label "device/name" of the table."""
        return self.target.table

    def of(self, name: str) -> Objective:
        """Returns one of `COSTS`, from codes int[N, D] to float[N].

        Raises:
            HwsearchError: If the table has no energies.
        """
        if name == "energy_mj" and self.energy is None:
            raise HwsearchError(
                "the table has no energies: its device tells none",
                where=self.label,
                fix="Take this table out, or limit and compare something else",
            )
        return lambda codes: _VALUES[name](self, codes)

    @property
    def number_bytes(self) -> int:
        """What one weight or one value of a feature map takes."""
        return NUMBER_BYTES[self.target.precision]

    def totals(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what front.csv tells beside the latency, int[N] or float[N] each."""
        number_bytes, whole = self.number_bytes, self.shipped.whole
        peaks = self.shipped.peak_elements(codes)
        found = {
            "macs": whole.macs(codes),
            "params": whole.params(codes),
            "weight_bytes": number_bytes * whole.weight_elements(codes),
            "activation_bytes": number_bytes * self.target.batch * peaks,
        }
        if self.energy is not None:
            found["energy_mj"] = self.energy.mean_ms(codes)
        return found


_VALUES: dict[str, Callable[[Costs, np.ndarray], np.ndarray]] = {
    "latency_ms": lambda costs, codes: costs.latency.mean_ms(codes),
    "latency_high_ms": lambda costs, codes: costs.latency.predict(codes).high_ms,
    "images_per_s": lambda costs, codes: 1e3 * costs.target.batch / costs.latency.mean_ms(codes),
    "macs": lambda costs, codes: costs.totals(codes)["macs"].astype(float),
    "weights_mb": lambda costs, codes: costs.totals(codes)["weight_bytes"] / 1e6,
    "peak_memory_mb": lambda costs, codes: costs.totals(codes)["activation_bytes"] / 1e6,
    "energy_mj": lambda costs, codes: costs.totals(codes)["energy_mj"],
}
