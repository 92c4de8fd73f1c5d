"""Limits on what networks cost, what a fleet's network is, and a search that keeps both."""

import re
from dataclasses import replace

import moocore
import numpy as np
import pytest
from synthetic_device import SyntheticDevice
from test_search_pareto import SMALL, TWIN, distance, twin_distance

from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_ships
from hwsearch.latency.table import Table
from hwsearch.search.aims import OneDevice
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import Evaluations, Yardstick
from hwsearch.search.fleet import find_fleet
from hwsearch.search.front import find_front
from hwsearch.search.limits import DeviceLimits, Limit, read_limits
from hwsearch.search.pareto_search import pareto_search
from hwsearch.shipped import Shipped

SHIPS = ("classifier:100", "camera:48")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Of a device that tells its energy: three times the milliseconds."""
    found = SyntheticDevice().table(60, folder=tmp_path_factory.mktemp("tables"), ships=SHIPS)
    rows = tuple(replace(row, sensors={"mj_a_call": 3 * row.latency_ms}) for row in found.rows)
    replace(found, rows=rows).write()
    return Table.read(found.path)


@pytest.fixture(scope="module")
def costs(table: Table) -> Costs:
    return Costs.fit(table, Shipped(TWIN, parse_ships(SHIPS)))


def limited(costs: Costs, *texts: str) -> DeviceLimits:
    (device,) = DeviceLimits.all_of([costs], read_limits(texts))
    return device


def test_costs_count_what_ships(costs: Costs, table: Table):
    alone, codes = Costs.fit(table, Shipped(TWIN)), TWIN.all_codes()[::997]
    for name in ("latency_ms", "latency_high_ms", "macs", "weights_mb", "energy_mj"):
        assert (costs.of(name)(codes) > alone.of(name)(codes)).all()
    np.testing.assert_allclose(costs.of("images_per_s")(codes), 1e3 / costs.of("latency_ms")(codes))
    np.testing.assert_allclose(costs.of("energy_mj")(codes), 3 * costs.of("latency_ms")(codes))
    with pytest.raises(HwsearchError, match="has no energies"):
        replace(alone, energy=None).of("energy_mj")


def test_search_asks_for_nothing_that_breaks_a_limit(costs: Costs):
    device = limited(costs, "latency_ms<=0.3", "latency_ms>=0.2", "weights_mb<=2")
    latency = costs.of("latency_ms")
    codes, _ = pareto_search(TWIN, twin_distance, [latency], evaluations=40, excess=[device.excess])
    every = TWIN.all_codes()
    inside = every[device.excess(every) <= 0]
    assert len(codes) == 40
    assert (device.excess(codes) <= 0).all()
    assert len(inside) < 0.5 * len(every)
    assert twin_distance(codes).min() < np.quantile(twin_distance(inside), 0.01)


def test_a_limit_of_one_device_leaves_the_other_free():
    codes, _ = pareto_search(
        SMALL,
        distance,
        [lambda codes: 1.0 + codes.sum(axis=1)] * 2,
        evaluations=SMALL.size,
        excess=[lambda codes: codes[:, 0] - 1.0, lambda codes: codes[:, 1] - 0.5],
    )
    assert {tuple(code) for code in codes} == {
        tuple(code) for code in SMALL.all_codes() if code[0] <= 1 or code[1] <= 0
    }


def test_nearest_network_is_told_where_none_keeps_the_limits(costs: Costs):
    device = limited(costs, "latency_ms<=0.15", "macs>=2e7")
    with pytest.raises(HwsearchError, match=r"no network keeps.*nearest is stem=") as raised:
        device.require_a_network(TWIN)
    relaxed = re.findall(r'"([^"]+)"', raised.value.fix)
    assert relaxed
    names = {Limit.parse(text).name for text in relaxed}
    kept = [str(limit) for limit in device.limits if limit.name not in names]
    limited(costs, *relaxed, *kept).require_a_network(TWIN)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["latency_ms<=2", "latency_ms>=3"], "latency_ms<=2 and latency_ms>=3 contradict"),
        (["a/b:macs<=2", "macs>=3"], "contradict each other"),
        (["latency_ms=2"], "cannot read '--limit latency_ms=2'.*latency_ms<=2"),
        (["latency_ms<=two"], "cannot read"),
        (["latncy_ms<=2"], "unknown cost of --limit 'latncy_ms'.*Did you mean latency_ms"),
        (["weights_mb<=-1"], "not above 0"),
        (["weights_mb<=nan"], "not above 0"),
        (["distance>=0.5"], "only be limited from above"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(texts: list[str], message: str):
    with pytest.raises(HwsearchError, match=message):
        read_limits(texts)


def test_a_limit_for_a_table_that_is_not_searched_for_is_refused(costs: Costs):
    with pytest.raises(HwsearchError, match="unknown table of this search 'pi/x'"):
        limited(costs, "pi/x:latency_ms<=2")


def evaluated(every: list[Costs]) -> Evaluations:
    codes = TWIN.all_codes()[np.random.default_rng(0).permutation(TWIN.size)[:300]]
    codes[0], codes[1] = 0, np.array(TWIN.shape) - 1
    latency_ms = np.column_stack([costs.of("latency_ms")(codes) for costs in every])
    yardstick, targets = Yardstick("", "", ""), tuple(costs.target for costs in every)
    return Evaluations(TWIN, yardstick, targets, codes, twin_distance(codes), latency_ms)


def test_front_is_drawn_against_any_cost_and_keeps_the_limits(costs: Costs):
    evaluations, device = evaluated([costs]), limited(costs, "latency_ms<=0.4")
    front = find_front(evaluations, device, against=("weights_mb",), most_distance=0.6)
    weights = [point.weight_bytes for point in front]
    assert weights == sorted(weights)
    assert all(point.latency_ms <= 0.4 and point.distance <= 0.6 for point in front)
    inside = (device.excess(evaluations.codes) <= 0) & (evaluations.distance <= 0.6)
    assert min(weights) == 1e6 * costs.of("weights_mb")(evaluations.codes[inside]).min()
    with pytest.raises(HwsearchError, match=r"distance<=1e-06.*nearest has.*--warm"):
        find_front(evaluations, device, most_distance=1e-6)


def test_a_search_of_two_costs_finds_their_common_front(costs: Costs):
    device, against = limited(costs, "latency_ms<=0.6"), ("latency_ms", "weights_mb")
    aims = OneDevice((device,), against).aims(TWIN)
    codes, _ = pareto_search(
        TWIN,
        twin_distance,
        [cost for cost, _ in aims],
        excess=[excess for _, excess in aims],
        evaluations=100,
    )
    every = TWIN.all_codes()
    points = np.column_stack([costs.of(name)(every) for name in against])
    points = np.column_stack([np.log(points), twin_distance(every)])
    inside = device.excess(every) <= 0
    worst = points[inside].max(axis=0)
    rows = np.ravel_multi_index(tuple(codes.T), TWIN.shape)
    assert inside[rows].all()
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(inside))[:100]
    whole, found, chance = (
        moocore.hypervolume(points[some], ref=worst) for some in (inside, rows, drawn)
    )
    assert found > 0.95 * whole > 1.02 * chance, (found / whole, chance / whole)


def test_a_front_of_two_costs_is_what_nothing_beats(costs: Costs):
    evaluations, device, against = evaluated([costs]), limited(costs), ("weights_mb", "latency_ms")
    front = find_front(evaluations, device, against=against)
    found = np.array([(p.weight_bytes / 1e6, p.latency_ms, p.distance) for p in front])
    every = np.column_stack(
        [*(costs.of(name)(evaluations.codes) for name in against), evaluations.distance]
    )
    best = every[moocore.is_nondominated(every)]
    np.testing.assert_allclose(found, best[np.lexsort(best.T[::-1])])
    assert sum(point.knee for point in front) == 1
    assert len(front) > len(find_front(evaluations, device))


def test_fleet_is_the_best_that_every_device_can_afford(costs: Costs):
    other = replace(costs, target=replace(costs.target, table="lawful/other"))
    texts = ["lawful/other:latency_ms<=0.2"]
    every = [costs, other]
    devices, evaluations = DeviceLimits.all_of(every, read_limits(texts)), evaluated(every)
    fronts = [find_front(evaluations, device) for device in devices]
    fleet = find_fleet(evaluations, devices, fronts)
    assert fleet is not None
    knee_ms = next(point.latency_ms for point in fronts[0] if point.knee)
    latency_ms = evaluations.latency_ms[:, 0]
    affordable = latency_ms <= min(knee_ms, 0.2)
    assert [point.table for point in fleet.points] == [costs.label, "lawful/other"]
    assert fleet.points[0].distance == evaluations.distance[affordable].min()
    assert fleet.regret.min() == 0.0
    lost = fleet.points[0].distance - evaluations.distance[latency_ms <= knee_ms].min()
    assert fleet.regret[0] == pytest.approx(lost)
    apart = [f"{costs.label}:latency_ms<=0.2", "lawful/other:latency_ms>=0.3"]
    impossible = DeviceLimits.all_of(every, read_limits(apart))
    assert find_fleet(evaluations, impossible, fronts) is None
