"""How good a predictor is, on networks it has not seen, beside simpler ways to predict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.latency.features import total_costs
from hwsearch.latency.fit import fit_predictor
from hwsearch.latency.lookup import Prediction
from hwsearch.latency.predictor import (
    MIN_BLOCKS,
    MIN_NETWORKS_ALONE,
    Predictor,
    subnet_of,
)
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space
from hwsearch.spaces import get_space

WORST = 5
"""How many of the worst networks are named."""


@dataclass(frozen=True)
class Score:
    """Predicted against measured latency of n networks.

    Attributes:
        name: What predicted.
        n: Number of networks.
        mean_error: Mean of |predicted / measured - 1|.
        median_error: Its median.
        within_5: Share of networks with an error of at most 5 %.
        within_10: Share of networks with an error of at most 10 %.
        spearman: Rank correlation, None with fewer than three networks.
        kendall: Rank correlation, likewise.
        coverage: Share of measurements inside their 90 % interval, None without intervals.
    """

    name: str
    n: int
    mean_error: float
    median_error: float
    within_5: float
    within_10: float
    spearman: float | None = None
    kendall: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Miss:
    """One network and how far its prediction is from its measurement.

    Attributes:
        subnet: The network.
        measured_ms: What was measured.
        predicted_ms: What was predicted.
        low_ms: Lower end of the predicted 90 % interval.
        high_ms: Upper end.
    """

    subnet: str
    measured_ms: float
    predicted_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True)
class Accuracy:
    """What a table's held-out networks say about its predictor.

    Attributes:
        predictor: The predictor itself.
        baselines: On the same networks, multiply-accumulates times one rate, and the plain sum of
            block times, or for a table started from another what that one alone predicts and
            what this one does without it.
        worst: The networks with the largest errors, largest first.
        evidence: Number of networks the predictor was fitted to.
        noise: Median relative standard error of the held-out measurements themselves.
    """

    predictor: Score
    baselines: tuple[Score, ...]
    worst: tuple[Miss, ...]
    evidence: int
    noise: float


def score(
    name: str, predicted_ms: np.ndarray, measured_ms: np.ndarray, interval: Prediction | None = None
) -> Score:
    """Compares predictions with measurements.

    Args:
        name: What predicted.
        predicted_ms: float[N], N at least 1.
        measured_ms: float[N].
        interval: Where coverage is to be counted, its intervals.
    """
    error = np.abs(predicted_ms / measured_ms - 1)
    spearman, kendall = _rank_correlations(predicted_ms, measured_ms)
    coverage = None
    if interval is not None:
        inside = (interval.low_ms <= measured_ms) & (measured_ms <= interval.high_ms)
        coverage = float(inside.mean())
    return Score(
        name,
        len(error),
        float(error.mean()),
        float(np.median(error)),
        float((error <= 0.05).mean()),
        float((error <= 0.10).mean()),
        spearman,
        kendall,
        coverage,
    )


def heldout_accuracy(table: Table) -> Accuracy:
    """Fits a table's evidence and predicts its held-out networks.

    Raises:
        HwsearchError: If the table has no held-out networks or too little evidence.
    """
    space = get_space(table.space)
    rows, evidence = table.networks("heldout"), table.networks("evidence")
    if not rows:
        raise HwsearchError(
            "the table has no held-out networks to judge by",
            where=table.path,
            fix="Measure some: hwsearch profile with --heldout 20",
        )
    fitted = fit_predictor(table, space)
    prediction = predict_rows(fitted, rows, space)
    measured = np.array([row.latency_ms for row in rows])
    baselines = [_macs_only(evidence, rows, space, measured)]
    if table.header.source:
        baselines.insert(0, _base(f"{table.header.source} alone", fitted, rows, space))
        if len(evidence) >= MIN_NETWORKS_ALONE:
            alone = predict_rows(Predictor.fit(table, space), rows, space)
            baselines.insert(1, score("from nothing", alone.mean_ms, measured, alone))
    elif len(table.blocks) >= MIN_BLOCKS:
        baselines.insert(0, _base("sum of blocks", fitted, rows, space))
    return Accuracy(
        score("predictor", prediction.mean_ms, measured, prediction),
        tuple(baselines),
        _worst(rows, measured, prediction),
        len(evidence),
        float(np.median([row.stderr_rel for row in rows])),
    )


def predict_rows(fitted: Predictor, rows: Sequence[Row], space: Space) -> Prediction:
    """Predicts the networks of rows, on the grid or off it."""
    found = [fitted.predict_subnet(subnet_of(row, space)) for row in rows]
    columns = (np.concatenate([getattr(p, end) for p in found]) for end in Prediction._fields)
    return Prediction(*columns)


def _base(name: str, fitted: Predictor, rows: Sequence[Row], space: Space) -> Score:
    """Scores the first total that a predictor sees as it is."""
    totals = [fitted.features.of_subnet(subnet_of(row, space))[0][0, 0] for row in rows]
    return score(name, np.array(totals), np.array([row.latency_ms for row in rows]))


def _macs_only(
    evidence: Sequence[Row], rows: Sequence[Row], space: Space, measured: np.ndarray
) -> Score:
    """Scores multiply-accumulates times the evidence's median rate."""
    known, new = (
        np.array([total_costs(space.lower(subnet_of(row, space)))[2] for row in some])
        for some in (evidence, rows)
    )
    rate = np.median([row.latency_ms for row in evidence] / known)
    return score("MACs only", rate * new, measured)


def _worst(rows: Sequence[Row], measured: np.ndarray, found: Prediction) -> tuple[Miss, ...]:
    order = np.argsort(-np.abs(found.mean_ms / measured - 1))[:WORST]
    return tuple(
        Miss(
            rows[i].key,
            float(measured[i]),
            float(found.mean_ms[i]),
            float(found.low_ms[i]),
            float(found.high_ms[i]),
        )
        for i in order
    )


def _rank_correlations(one: np.ndarray, other: np.ndarray) -> tuple[float | None, float | None]:
    """Returns Spearman's rho and Kendall's tau-b, from the order of all pairs."""
    if min(len(np.unique(one)), len(np.unique(other))) < 3:
        return None, None
    first, second = (np.sign(np.subtract.outer(values, values)) for values in (one, other))
    spearman = np.corrcoef(first.sum(1), second.sum(1))[0, 1]
    kendall = (first * second).sum() / np.sqrt(np.abs(first).sum() * np.abs(second).sum())
    return float(spearman), float(kendall)
