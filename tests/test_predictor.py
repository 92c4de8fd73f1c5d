"""The predictor, on a device whose law is known."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_device import SyntheticDevice, network_ms

from hwsearch.errors import HwsearchError
from hwsearch.latency.accuracy import Score, score
from hwsearch.latency.features import BlockTimes, NetworkFeatures, block_costs, fit_rates
from hwsearch.latency.gaussian import MOST, SPREAD, TYPICAL, GaussianProcess, _Pieces
from hwsearch.latency.predictor import Predictor, subnet_of
from hwsearch.latency.table import Table
from hwsearch.space import Space
from hwsearch.spaces import get_space


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("bottleneck-32")


def judged(table: Table, space: Space) -> Score:
    rows = table.networks("heldout")
    codes = np.stack([space.encode(subnet_of(row, space)) for row in rows])
    found = Predictor.fit(table, space).predict(codes)
    measured = np.array([row.latency_ms for row in rows])
    return score("predictor", found.mean_ms, measured, found)


def test_an_interacting_device_is_recovered_to_its_noise(space):
    result = judged(SyntheticDevice(noise=0.01).table(100, 300), space)
    assert result.mean_error < 0.012
    assert result.within_5 > 0.98
    assert 0.85 < result.coverage < 0.96


@pytest.mark.parametrize(("evidence", "blocks"), [(12, True), (30, True), (30, False)])
def test_intervals_hold_their_share_with_little_evidence(space, evidence, blocks):
    tables = (SyntheticDevice(seed=s).table(evidence, 60, blocks=blocks) for s in range(8))
    coverage = np.mean([judged(table, space).coverage for table in tables])
    assert 0.82 < coverage < 0.98


def test_the_whole_data_space_is_predicted_with_ordered_intervals():
    space = get_space("bottleneck-224")
    fitted = Predictor.fit(SyntheticDevice(space).table(60), space)
    codes = space.all_codes()
    found = fitted.predict(codes)
    assert found.mean_ms.shape == (85_293,)
    assert (found.low_ms > 0).all()
    assert (found.low_ms < found.mean_ms).all() and (found.mean_ms < found.high_ms).all()
    np.testing.assert_allclose(fitted.mean_ms(codes), found.mean_ms)


def test_codes_and_the_walk_agree(space):
    device = SyntheticDevice()
    fitted = Predictor.fit(device.table(30), space)
    subnets = [space.sample(device.rng) for _ in range(20)]
    together = fitted.predict(np.stack([space.encode(subnet) for subnet in subnets]))
    for index, subnet in enumerate(subnets):
        alone = fitted.predict_subnet(subnet)
        for end in ("mean_ms", "low_ms", "high_ms"):
            np.testing.assert_allclose(getattr(alone, end), getattr(together, end)[index])


def test_no_networks_give_no_predictions(space):
    fitted = Predictor.fit(SyntheticDevice().table(30), space)
    nothing = np.zeros((0, len(space.dims)), dtype=int)
    assert fitted.predict(nothing).mean_ms.shape == fitted.mean_ms(nothing).shape == (0,)


def test_networks_off_the_grid_lie_between_their_neighbours(space):
    fitted = Predictor.fit(SyntheticDevice(noise=0.001).table(60), space)
    for name, low, off, high in (("width3", 48, 56, 64), ("width1", 12, 14, 16)):
        small, between, large = (
            fitted.predict_subnet(space.subnet(**{name: width})).mean_ms[0]
            for width in (low, off, high)
        )
        assert small < between < large
        truth = network_ms(space, space.subnet(**{name: off}))
        assert between == pytest.approx(truth, rel=0.1)


def test_depths_off_the_grid_need_no_new_blocks():
    space = get_space("bottleneck-224")
    fitted = Predictor.fit(SyntheticDevice(space, noise=0.001).table(60), space)
    r50 = space.subnet(
        stem=64,
        width1=64,
        width2=128,
        width3=256,
        width4=512,
        depth1=3,
        depth2=4,
        depth3=6,
        depth4=3,
    )
    found = fitted.predict_subnet(r50)
    assert found.mean_ms[0] == pytest.approx(network_ms(space, r50), rel=0.02)


def test_unmeasured_blocks_are_estimated_from_measured_ones(space):
    device = SyntheticDevice(noise=0.001)
    whole = device.table(40, 60)
    kept = [row for i, row in enumerate(whole.rows) if row.kind == "network" or i % 4]
    result = judged(replace(whole, rows=tuple(kept)), space)
    assert result.mean_error < 0.04


def test_a_row_that_is_known_to_be_noisy_hardly_counts(space):
    table = SyntheticDevice(noise=0.005).table(40, 100)
    first = table.networks("evidence")[0]
    broken = replace(first, latency_ms=3 * first.latency_ms, stderr_rel=1.5)
    rows = tuple(broken if row is first else row for row in table.rows)
    assert judged(replace(table, rows=rows), space).mean_error < 0.03


def test_predictions_follow_from_block_and_evidence_rows_alone(space):
    table = SyntheticDevice().table(30, 20)
    rows = (replace(r, latency_ms=99.0) if r.split == "heldout" else r for r in table.rows)
    codes = space.all_codes()[::500]
    one, other = (
        Predictor.fit(some, space).predict(codes) for some in (table, replace(table, rows=(*rows,)))
    )
    np.testing.assert_array_equal(one.high_ms, other.high_ms)


@pytest.mark.parametrize(("evidence", "blocks", "needed"), [(9, True, 10), (19, False, 20)])
def test_too_little_evidence_is_refused(space, evidence, blocks, needed):
    table = SyntheticDevice().table(evidence, blocks=blocks)
    with pytest.raises(HwsearchError, match=f"{needed} are needed"):
        Predictor.fit(table, space)


def test_a_table_of_another_space_is_refused():
    with pytest.raises(HwsearchError, match="of space 'bottleneck-32', not 'bottleneck-224'"):
        Predictor.fit(SyntheticDevice().table(10), get_space("bottleneck-224"))


def test_gathered_features_equal_the_walk(space):
    times = BlockTimes({}, np.arange(1.0, 8.0))
    features = NetworkFeatures.tabulate(space, times)
    rng = np.random.default_rng(0)
    for _ in range(5):
        subnet = space.sample(rng)
        totals, gathered = features.of_codes(space.encode(subnet)[None])
        walked_totals, walked = features.of_subnet(subnet)
        np.testing.assert_allclose(gathered, walked)
        walk = sum(block_costs(block) for block in space.lower(subnet))
        np.testing.assert_allclose(totals, walked_totals)
        np.testing.assert_allclose(totals[0, 1:], walk)
        np.testing.assert_allclose(totals[0, 0], walk @ np.arange(1.0, 8.0))


def test_rates_of_an_additive_device_are_found():
    rng = np.random.default_rng(0)
    costs, rates = rng.uniform(1, 2, (40, 7)), np.array([0.1, 0, 2.0, 0, 0.5, 0, 0])
    np.testing.assert_allclose(fit_rates(costs, costs @ rates), rates, atol=1e-9)


def test_the_gradient_of_the_evidence_is_right():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(12, 3)), rng.normal(size=12)
    products = inputs @ inputs.T / 3
    squares = np.diag(products)
    pieces = _Pieces(squares[:, None] + squares - 2 * products, products, rng.uniform(0, 0.1, 12))
    theta = TYPICAL + rng.normal(size=4) / 2
    gradient = pieces.loss(theta, targets)[1]
    for index in range(4):
        step = np.eye(4)[index] * 1e-5
        rise = pieces.loss(theta + step, targets)[0] - pieces.loss(theta - step, targets)[0]
        assert rise / 2e-5 == pytest.approx(gradient[index], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1e3, 1e6])
def test_whatever_the_targets_everything_can_be_computed(scale: float) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(40, 5)), scale * rng.normal(size=40)
    found = GaussianProcess.fit(inputs, targets, np.full(40, 0.03))
    assert (np.abs(found.theta - TYPICAL) <= MOST * SPREAD + 1e-9).all()
    assert np.isfinite(found.mean(inputs)).all()
