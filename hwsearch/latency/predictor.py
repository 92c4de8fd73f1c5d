"""Latency of any network of a space, with an interval, from the rows of one table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.latency.correction import Correction, Evidence, block_sum
from hwsearch.latency.features import (
    BlockTimes,
    NetworkFeatures,
    block_costs,
    fit_rates,
    total_costs,
)
from hwsearch.latency.lookup import BlockTime, LatencyModel, Lookup, Prediction, measured_networks
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space, Subnet
from hwsearch.spaces.catalogue import Catalogue

__all__ = ["LatencyModel", "Prediction", "Predictor", "fit_latency", "subnet_of"]

MIN_NETWORKS = 10
"""Fewest measured networks beside measured blocks; with fewer no interval could hold 90 %."""

MIN_NETWORKS_ALONE = 20
"""Fewest measured networks that a predictor is fitted to without measured blocks."""

MIN_BLOCKS = 10
"""Fewest measured blocks that give the rates for those that are not measured."""

CHUNK = 2_048
"""Networks predicted at a time, so that their covariances stay in the caches."""


@dataclass(frozen=True)
class Predictor:
    """A pure function of a table's rows, refitted at load: nothing is pickled.

    A base estimate is corrected by a Gaussian process on the logarithm of measured over base,
    given the features of each part. The base is the sum of the block times or, where that does
    better on evidence left out in turn, a non-negative combination of it and the costs. The
    intervals are widened or narrowed until they hold 90 % of the evidence left out.

    Attributes:
        features: Where networks come from, and their block times.
        correction: The base and what corrects it.
    """

    features: NetworkFeatures
    correction: Correction

    @classmethod
    def fit(cls, table: Table, space: Space) -> "Predictor":
        """Fits the block and evidence rows of a table; held-out rows are never looked at.

        Raises:
            HwsearchError: If the table is of another space or holds too little evidence.
        """
        _check_space(table, space)
        rows = table.networks("evidence")
        _check_evidence(table, len(rows), _own_blocks(table, space))
        subnets = [subnet_of(row, space) for row in rows]
        measured = np.array([row.latency_ms for row in rows])
        features = NetworkFeatures.tabulate(space, _block_times(table, space, subnets, measured))
        found = [features.of_subnet(subnet) for subnet in subnets]
        totals, inputs = (np.concatenate(column) for column in zip(*found, strict=True))
        noise = np.array([row.stderr_rel for row in rows])
        evidence = Evidence(totals, inputs, measured, noise)
        enough = _own_blocks(table, space) >= MIN_BLOCKS
        bases = (block_sum, fit_rates) if enough else (block_sum,)
        trials = [Correction.judged(evidence, base) for base in bases]
        return cls(features, min(trials, key=lambda trial: trial.error))

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

    def block_time(self, block: Block) -> BlockTime:
        """Tells what a block adds to an engine: as measured, else by the rates of other blocks.

        The fastest block tells what every call takes; that is left out.
        """
        times = self.features.times
        call_ms = min(times.measured_ms.values(), default=0.0)
        return BlockTime(max(0.0, times(block) - call_ms), block.key in times.measured_ms)


def fit_latency(table: Table, space: Space) -> LatencyModel:
    """Returns what tells the latencies of a space on a table's device.

    Measured rows are looked up where every network that the space can have has one; for other
    spaces a predictor is fitted. Models of a catalogue share nothing to predict from.

    Raises:
        HwsearchError: If the table is of another space, holds too little evidence, or lacks a
            model of a catalogue or has measured another file.
    """
    _check_space(table, space)
    if any(dim.prefix for dim in space.dims):
        return Predictor.fit(table, space)
    rows = measured_networks(table, space)
    if len(rows) == space.size:
        return Lookup.of(rows, space, {row.key: row.latency_ms for row in table.blocks})
    if not isinstance(space, Catalogue):
        return Predictor.fit(table, space)
    missing = [name for name, model in space.models.items() if model.block().key not in rows]
    raise HwsearchError(
        f"{len(missing)} models of the catalogue were not measured: {', '.join(missing)}",
        where=table.path,
        fix=f"Measure them: hwsearch profile --space {space.name} --runtime {table.runtime}; "
        "take those that fail out of the catalogue",
    )


def _check_space(table: Table, space: Space) -> None:
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


def _block_times(
    table: Table, space: Space, subnets: Sequence[Subnet], network_ms: np.ndarray
) -> BlockTimes:
    """Measured block times, and rates for the rest, from blocks or else from networks."""
    known = {row.key: row.latency_ms for row in table.blocks}
    costs = {key: block_costs(space.blocks[key]) for key in known if key in space.blocks}
    if len(costs) >= MIN_BLOCKS:
        times = np.array([known[key] for key in costs])
        return BlockTimes(known, fit_rates(np.stack([*costs.values()]), times))
    whole = np.stack([total_costs(space.lower(subnet)) for subnet in subnets])
    return BlockTimes(known, fit_rates(whole, network_ms))
