"""Latency of any network of a space, with an interval, from the rows of one table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.latency.features import (
    BlockTimes,
    NetworkFeatures,
    block_costs,
    fit_rates,
    total_costs,
)
from hwsearch.latency.gaussian import GaussianProcess
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space, Subnet

COVERAGE = 0.9
"""Share of measurements that the interval of a prediction should hold."""

MIN_NETWORKS = 10
"""Fewest measured networks beside measured blocks; with fewer no interval could hold 90 %."""

MIN_NETWORKS_ALONE = 20
"""Fewest measured networks that a predictor is fitted to without measured blocks."""

MIN_BLOCKS = 10
"""Fewest measured blocks that give the rates for those that are not measured."""

CHUNK = 2_048
"""Networks predicted at a time, so that their covariances stay in the caches."""

_FOLDS = 5
_NORMAL = 1.6449
"""Deviations on each side that hold 90 % of a normal distribution."""


@dataclass(frozen=True)
class Prediction:
    """Predicted latencies of N networks.

    Attributes:
        mean_ms: Expected latency, float[N].
        low_ms: Lower end of the 90 % interval of a measurement, float[N].
        high_ms: Upper end, float[N].
    """

    mean_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray


@dataclass(frozen=True)
class Predictor:
    """A pure function of a table's rows, refitted at load: nothing is pickled.

    The sum of measured block times is corrected by a Gaussian process on the logarithm of
    measured over summed, given the features of each part; its intervals are widened or
    narrowed until they hold 90 % of the evidence that was left out in turn.

    Attributes:
        features: Where networks come from, and their block times.
        process: The correction.
        widening: Factor on the deviations of the process.
    """

    features: NetworkFeatures
    process: GaussianProcess
    widening: float

    @classmethod
    def fit(cls, table: Table, space: Space) -> "Predictor":
        """Fits the block and evidence rows of a table; held-out rows are never looked at.

        Raises:
            HwsearchError: If the table is of another space or holds too little evidence.
        """
        if table.space != space.name:
            raise HwsearchError(
                f"the table is of space '{table.space}', not '{space.name}'",
                where=table.path,
                fix=f"Name a table of '{space.name}' with --table, or make one with "
                f"hwsearch profile --space {space.name}",
            )
        evidence = table.networks("evidence")
        _check_evidence(table, len(evidence))
        subnets = [subnet_of(row, space) for row in evidence]
        measured = np.array([row.latency_ms for row in evidence])
        times = _block_times(table, space, subnets, measured)
        features = NetworkFeatures.tabulate(space, times)
        sums, inputs = _features_of(features, subnets)
        noise = np.array([row.stderr_rel for row in evidence])
        targets = np.log(measured / sums)
        process = GaussianProcess.fit(inputs, targets, noise)
        return cls(features, process, _widening(process, targets, noise))

    def predict(self, codes: np.ndarray) -> Prediction:
        """Predicts networks by code.

        Args:
            codes: int[N, D], as `Space.encode` gives.
        """
        starts = range(0, max(len(codes), 1), CHUNK)
        chunks = [self._interval(*self.features.of_codes(codes[i : i + CHUNK])) for i in starts]
        return Prediction(*np.concatenate(chunks, axis=1))

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Predicts networks by code int[N, D] without intervals, float[N]."""
        found = np.empty(len(codes))
        for start in range(0, len(codes), CHUNK):
            sums, inputs = self.features.of_codes(codes[start : start + CHUNK])
            found[start : start + CHUNK] = sums * np.exp(self.process.mean(inputs))
        return found

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Predicts one network, on the grid or off it; arrays of length 1.

        Raises:
            HwsearchError: If the subnet is of another space or impossible.
        """
        return Prediction(*self._interval(*self.features.of_subnet(subnet)))

    def _interval(self, sums: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Returns mean, low and high in ms, float[3, N]."""
        mean, deviation = self.process.mean_and_deviation(inputs)
        reach = _NORMAL * self.widening * deviation
        return sums * np.exp(np.stack([mean, mean - reach, mean + reach]))


def subnet_of(row: Row, space: Space) -> Subnet:
    """Returns the network that a row of kind "network" is about."""
    return space.subnet(**row.subnet)


def _check_evidence(table: Table, networks: int) -> None:
    blocks = len(table.blocks)
    needed = MIN_NETWORKS if blocks >= MIN_BLOCKS else MIN_NETWORKS_ALONE
    if networks < needed:
        raise HwsearchError(
            f"{networks} measured networks beside {blocks} blocks are too little evidence; "
            f"{needed} are needed",
            where=table.path,
            fix="Measure more: hwsearch profile again with a larger --budget-minutes",
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


def _features_of(
    features: NetworkFeatures, subnets: Sequence[Subnet]
) -> tuple[np.ndarray, np.ndarray]:
    found = [features.of_subnet(subnet) for subnet in subnets]
    return np.concatenate([s for s, _ in found]), np.concatenate([x for _, x in found])


def _widening(whole: GaussianProcess, targets: np.ndarray, noise: np.ndarray) -> float:
    """Finds the factor that makes intervals hold their share of what was not fitted."""
    order = np.random.default_rng(0).permutation(len(targets))
    surprise = np.empty(len(targets))
    for fold in range(_FOLDS):
        out, kept = order[fold::_FOLDS], np.delete(order, np.s_[fold::_FOLDS])
        rows = whole.inputs[kept], targets[kept], noise[kept]
        process = GaussianProcess.fit(*rows, start=whole.theta)
        mean, deviation = process.mean_and_deviation(whole.inputs[out])
        surprise[out] = np.abs(targets[out] - mean) / deviation
    rank = min(int(np.ceil((len(targets) + 1) * COVERAGE)), len(targets))
    return float(np.sort(surprise)[rank - 1] / _NORMAL)
