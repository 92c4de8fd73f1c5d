"""The target of a learning run: a table's latency model, and whether it can be reached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import LatencyModel
from hwsearch.latency.table import Table, find_table
from hwsearch.space import Space


@dataclass(frozen=True)
class LatencyTarget:
    """Which latency is to be had where.

    Attributes:
        table: Of the device.
        latency: What it predicts.
        target_ms: Latency to be had.
    """

    table: Table
    latency: LatencyModel
    target_ms: float

    @classmethod
    def open(
        cls, name: str, space: Space, target_ms: float, *, tables_dir: Path | None
    ) -> "LatencyTarget":
        """Opens a table by name or path.

        Raises:
            HwsearchError: If there is none, it is of another space, or no network is that fast or
                that slow.
        """
        table = Table.read(find_table(name, tables_dir))
        latency = fit_latency(table, space)
        every_ms = latency.mean_ms(space.pool(np.random.default_rng(0)))
        if not every_ms.min() <= target_ms <= every_ms.max():
            raise HwsearchError(
                f"no network of '{space.name}' has {target_ms:g} ms on {table.name}",
                where=table.path,
                fix=f"Use --latency-ms between {every_ms.min():.3g} and {every_ms.max():.3g}",
            )
        return cls(table, latency, target_ms)

    @property
    def label(self) -> str:
        """Device and name of the table."""
        return f"{self.table.device}/{self.table.name}"

    def recipe(self) -> dict[str, Any]:
        """Returns what decides a run's result."""
        return {
            "table": self.label,
            "table_sha256": sha256_of(self.table.path),
            "latency_ms": self.target_ms,
        }
