"""Held-out accuracy of a predictor and its baselines."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from synthetic_device import SyntheticDevice

from hwsearch.errors import HwsearchError
from hwsearch.latency.accuracy import heldout_accuracy, score
from hwsearch.latency.predictor import Prediction


def test_a_score_counts_errors_and_intervals():
    measured = np.array([1.0, 2.0, 4.0, 8.0])
    predicted = measured * [1.0, 1.04, 0.92, 1.5]
    interval = Prediction(predicted, measured * [0.9, 1.01, 0.9, 1.1], measured * 2)
    found = score("it", predicted, measured, interval)
    assert (found.n, found.within_5, found.within_10, found.coverage) == (4, 0.5, 0.75, 0.5)
    assert found.mean_error == pytest.approx((0.04 + 0.08 + 0.5) / 4)
    assert found.median_error == pytest.approx(0.06)


def test_rank_correlations_equal_scipy_with_ties():
    rng = np.random.default_rng(0)
    one, other = rng.integers(1, 9, 40).astype(float), rng.integers(1, 9, 40) + 0.5
    found = score("it", one, other)
    assert found.spearman == pytest.approx(spearmanr(one, other).statistic)
    assert found.kendall == pytest.approx(kendalltau(one, other).statistic)


def test_rank_correlations_need_three_networks():
    found = score("it", np.ones(2), np.array([1.0, 2.0]))
    assert found.spearman is None and found.kendall is None and found.coverage is None


def test_the_predictor_stands_beside_simpler_ones():
    found = heldout_accuracy(SyntheticDevice().table(60, 50))
    sums, macs = found.baselines
    assert (sums.name, macs.name) == ("sum of blocks", "MACs only")
    assert {found.predictor.n, sums.n, macs.n} == {50}
    assert found.predictor.mean_error < 0.5 * min(sums.mean_error, macs.mean_error)
    assert found.evidence == 60
    errors = [abs(miss.predicted_ms / miss.measured_ms - 1) for miss in found.worst]
    assert errors == sorted(errors, reverse=True) and len(errors) == 5
    json.dumps(asdict(found), allow_nan=False)


def test_without_measured_blocks_there_is_no_sum():
    found = heldout_accuracy(SyntheticDevice().table(60, 10, blocks=False))
    assert [baseline.name for baseline in found.baselines] == ["MACs only"]


def test_a_table_without_heldout_networks_cannot_be_judged():
    with pytest.raises(HwsearchError, match="--heldout"):
        heldout_accuracy(SyntheticDevice().table(20))
