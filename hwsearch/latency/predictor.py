"""Latency of any network of a space, with an interval, from the rows of one table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.latency.base import Evidence
from hwsearch.latency.correction import Correction
from hwsearch.latency.extras import AddedTimes
from hwsearch.latency.features import (
    BlockTimes,
    Features,
    NetworkFeatures,
    block_costs,
    fit_rates,
    total_costs,
)
from hwsearch.latency.lookup import Prediction
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space, Subnet

__all__ = ["Prediction", "Predictor", "subnet_of"]

MIN_NETWORKS = 10
"""Fewest measured networks beside measured blocks; with fewer no interval could hold 90 %."""

MIN_NETWORKS_ALONE = 20
"""Fewest measured networks that a predictor is fitted to without measured blocks."""

MIN_BLOCKS = 10
"""Fewest measured blocks that give the rates for those that are not measured."""

CHUNK = 1_024
"""Networks predicted at a time, so that their covariances stay in the caches."""


@dataclass(frozen=True)
class Predictor:
    """A pure function of a table's rows, refitted at load: nothing is pickled.

    A base estimate is corrected by a Gaussian process on the logarithm of measured over base,
    given the features of each part. The base is whichever does best on evidence left out in
    turn: a non-negative combination of block time and costs, or a ridge regression on the
    features of each part. The
    intervals are widened or narrowed until they hold 90 % of the evidence left out.

    Attributes:
        features: What is seen of networks, and their block times.
        correction: The base and what corrects it.
        added: What heads and preprocessing add.
    """

    features: Features
    correction: Correction
    added: AddedTimes

    @classmethod
    def fit(cls, table: Table, space: Space) -> "Predictor":
        """Fits the block and evidence rows of a table; held-out rows are never looked at.

        Raises:
            HwsearchError: If the table is of another space or holds too little evidence.
        """
        check_space(table, space)
        rows = table.networks("evidence")
        _check_evidence(table, len(rows), _own_blocks(table, space))
        features = NetworkFeatures.tabulate(space, _block_times(table, space, rows))
        evidence = evidence_of(rows, space, features)
        return cls(features, Correction.best(evidence), AddedTimes.of(table))

    def predict(self, codes: np.ndarray) -> Prediction:
        """Predicts networks by code.

        Args:
            codes: int[N, D], as `Space.encode` gives.
        """
        starts = range(0, max(len(codes), 1), CHUNK)
        chunks = [
            self.correction.interval_ms(*self.features.of_codes(codes[i : i + CHUNK]))
            for i in starts
        ]
        return Prediction(*np.concatenate(chunks, axis=1))

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Predicts networks by code int[N, D] without intervals, float[N]."""
        found = np.empty(len(codes))
        for start in range(0, len(codes), CHUNK):
            chunk = self.features.of_codes(codes[start : start + CHUNK])
            found[start : start + CHUNK] = self.correction.mean_ms(*chunk)
        return found

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Predicts one network, on the grid or off it; arrays of length 1.

        Raises:
            HwsearchError: If the subnet is of another space or impossible.
        """
        return Prediction(*self.correction.interval_ms(*self.features.of_subnet(subnet)))

    def added_ms(self, block: Block) -> float:
        """Tells what a block adds to an engine that is called anyway; see `AddedTimes`."""
        return self.added.ms(block)


def evidence_of(rows: Sequence[Row], space: Space, features: Features) -> Evidence:
    """Returns what rows of networks say, with their features."""
    found = [features.of_subnet(subnet_of(row, space)) for row in rows]
    totals, inputs = (np.concatenate(column) for column in zip(*found, strict=True))
    measured = np.array([row.latency_ms for row in rows])
    return Evidence(totals, inputs, measured, np.array([row.stderr_rel for row in rows]))


def check_space(table: Table, space: Space) -> None:
    """Refuses a table of another space."""
    if table.space != space.name:
        raise HwsearchError(
            f"the table is of space '{table.space}', not '{space.name}'",
            where=table.path,
            fix=f"Name a table of '{space.name}' with --table, or make one with "
            f"hwsearch profile --space {space.name}",
        )


def subnet_of(row: Row, space: Space) -> Subnet:
    """Returns the network that a row of kind "network" is about."""
    return space.subnet(**row.subnet)


def _own_blocks(table: Table, space: Space) -> int:
    """Counts the measured blocks that networks have, heads and preprocessing aside."""
    return sum(row.key in space.blocks for row in table.blocks)


def _check_evidence(table: Table, networks: int, blocks: int) -> None:
    needed = MIN_NETWORKS if blocks >= MIN_BLOCKS else MIN_NETWORKS_ALONE
    if networks < needed:
        raise HwsearchError(
            f"{networks} measured networks beside {blocks} blocks are too little evidence; "
            f"{needed} are needed",
            where=table.path,
            fix="Measure more: hwsearch profile with a larger --budget-minutes or --evidence",
        )


def _block_times(table: Table, space: Space, rows: Sequence[Row]) -> BlockTimes:
    """Measured block times, and rates for the rest, from blocks or else from networks."""
    known = {row.key: row.latency_ms for row in table.blocks}
    costs = {key: block_costs(space.blocks[key]) for key in known if key in space.blocks}
    if len(costs) >= MIN_BLOCKS:
        times = np.array([known[key] for key in costs])
        return BlockTimes(known, fit_rates(np.stack([*costs.values()]), times))
    whole = np.stack([total_costs(space.lower(subnet_of(row, space))) for row in rows])
    return BlockTimes(known, fit_rates(whole, np.array([row.latency_ms for row in rows])))
