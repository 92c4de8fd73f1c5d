"""Simpler ways to predict the latency of networks from the rows of a table, to compare with.

Each takes a table, its space and rows of networks, and returns milliseconds float[n]; all learn
from the same blocks and the same evidence networks as hwsearch's own predictor.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from hwsearch.block import Block
from hwsearch.latency.features import NetworkFeatures, block_costs
from hwsearch.latency.predictor import Predictor, subnet_of
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space

PRIOR_SPREADS = np.geomspace(0.01, 1.0, 9)
NOISES = (0.005, 0.01, 0.02, 0.05)


def measured_ms(rows: Sequence[Row]) -> np.ndarray:
    """Measured latencies, float[n]."""
    return np.array([row.latency_ms for row in rows])


def _features(table: Table, space: Space) -> NetworkFeatures:
    features = Predictor.fit(table, space).features
    assert isinstance(features, NetworkFeatures)
    return features


def _totals(features: NetworkFeatures, rows: Sequence[Row], space: Space) -> np.ndarray:
    return np.concatenate([features.of_subnet(subnet_of(row, space))[0] for row in rows])


def plain_sum(table: Table, space: Space, rows: Sequence[Row]) -> np.ndarray:
    """Adds up the times of blocks that were measured alone."""
    return _totals(_features(table, space), rows, space)[:, 0]


def affine(table: Table, space: Space, rows: Sequence[Row]) -> np.ndarray:
    """Fits a constant and a factor to that sum, by relative least squares."""
    evidence, features = table.networks("evidence"), _features(table, space)
    known, new = (_totals(features, some, space)[:, 0] for some in (evidence, rows))
    ms = measured_ms(evidence)
    design = np.column_stack([np.ones(len(ms)), known]) / ms[:, None]
    constant, factor = np.linalg.lstsq(design, np.ones(len(ms)), rcond=None)[0]
    return constant + factor * new


def stage_ridge(table: Table, space: Space, rows: Sequence[Row]) -> np.ndarray:
    """Ridge on block time, counts and costs of each stage; the penalty by cross-validation."""
    evidence, features = table.networks("evidence"), _features(table, space)
    known, new = (
        np.concatenate([features.of_subnet(subnet_of(row, space))[1] for row in some])
        for some in (evidence, rows)
    )
    scaler, ms = StandardScaler().fit(known), measured_ms(evidence)
    fitted = RidgeCV(np.geomspace(1e-4, 1e3, 22)).fit(scaler.transform(known), ms, ms**-2.0)
    return fitted.predict(scaler.transform(new))


def block_regression(table: Table, space: Space, rows: Sequence[Row]) -> np.ndarray:
    """A random forest for each kind of block, then the sum: how nn-Meter predicts kernels."""
    known: dict[str, list[tuple[Block, float]]] = {}
    for row in table.blocks:
        if block := space.blocks.get(row.key):
            known.setdefault(block.kind, []).append((block, row.latency_ms))
    forests = {
        kind: RandomForestRegressor(200, random_state=0).fit(
            [_sizes(block) for block, _ in some], np.log([ms for _, ms in some])
        )
        for kind, some in known.items()
    }
    used = [Counter(block.key for block in space.lower(subnet_of(row, space))) for row in rows]
    keys = {key for count in used for key in count}
    ms = {
        key: float(np.exp(forests[space.blocks[key].kind].predict([_sizes(space.blocks[key])])[0]))
        for key in keys
    }
    return np.array([sum(n * ms[key] for key, n in count.items()) for count in used])


def _sizes(block: Block) -> np.ndarray:
    sizes = [size for _, size in block.sizes]
    return np.array([block.in_side, block.kernel, block.stride, *sizes, *block_costs(block)])


def bayesian_blocks(table: Table, space: Space, rows: Sequence[Row]) -> np.ndarray:
    """Linear in the number of each block; what blocks took alone is the prior of their times."""
    evidence, features = table.networks("evidence"), _features(table, space)
    keys = sorted(space.blocks)
    alone = np.array([features.times(space.blocks[key]) for key in keys])
    known, new = (_counts(some, space, keys) for some in (evidence, rows))
    ms = measured_ms(evidence)
    factor = nnls((known @ alone / ms)[:, None], np.ones(len(ms)))[0][0]
    prior, relative = factor * alone, known / ms[:, None]
    rest = 1 - relative @ prior

    def evidence_of(spread: float, noise: float) -> float:
        covariance = (relative * (spread * prior) ** 2) @ relative.T + noise**2 * np.eye(len(ms))
        solved = np.linalg.solve(covariance, rest)
        return -float(rest @ solved + np.linalg.slogdet(covariance)[1])

    spread, noise = max(
        ((s, n) for s in PRIOR_SPREADS for n in NOISES), key=lambda pair: evidence_of(*pair)
    )
    weights = (spread * prior) ** 2
    covariance = (relative * weights) @ relative.T + noise**2 * np.eye(len(ms))
    times = prior + weights * (relative.T @ np.linalg.solve(covariance, rest))
    return new @ times


def _counts(rows: Sequence[Row], space: Space, keys: Sequence[str]) -> np.ndarray:
    used = [Counter(block.key for block in space.lower(subnet_of(row, space))) for row in rows]
    return np.array([[count[key] for key in keys] for count in used], dtype=float)


RIVALS = {
    "plain sum": plain_sum,
    "affine in the sum": affine,
    "regression per block (nn-Meter)": block_regression,
    "ridge per stage": stage_ridge,
    "Bayesian over blocks": bayesian_blocks,
}
