"""Fronts whose networks are measured, on a device that follows a known law."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from searches import write_checkpoint
from synthetic_device import SyntheticDevice, network_ms

from hwsearch.deploy.budget import Budget
from hwsearch.deploy.manifest import Latency
from hwsearch.deploy.proof import measured_surely
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_journal
from hwsearch.latency.lookup import Prediction
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import Measured
from hwsearch.search import confirm
from hwsearch.search.confirmed import FILE, KIND, confirmed_devices, told, with_latencies
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import FrontPoint, find_front, read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.limits import Limit
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")
NOISE = 0.004
SLOWER = 1.03
"""What predictors do not know: networks with a wide last stage are slower than the law says."""


def true_ms(subnet: Subnet) -> float:
    return network_ms(SPACE, subnet) * (SLOWER if SPACE.encode(subnet)[-1] else 1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of this device, one of another, a checkpoint, and a search without limits."""
    folder = tmp_path_factory.mktemp("confirm")
    table = SyntheticDevice(SPACE).table(24, blocks=False)
    write_checkpoint(folder / "run")
    replace(table, path=folder / "here.jsonl").write()
    header = replace(table.header, device="far", fingerprint={"cpu": "Z80"})
    replace(table, path=folder / "far.jsonl", header=header).write()
    search(options(folder, folder / "out", confirm=False))
    return folder


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[Subnet]]]:
    """What was measured, round by round; latencies are true but for noise."""
    found, rng, clock = [], np.random.default_rng(0), [0.0]

    def measure(subnets: list[Subnet], table: Table, **_: object) -> dict[Subnet, Measured]:
        found.append(list(subnets))
        clock[0] += confirm.FIRST_SECONDS + confirm.LEAST_SECONDS * len(subnets)
        noise = rng.normal(0, NOISE, len(subnets))
        pairs = zip(subnets, np.exp(noise), strict=True)
        return {s: Measured(true_ms(s) * float(factor), NOISE, 9, ()) for s, factor in pairs}

    monkeypatch.setattr(confirm, "remeasure_networks", measure)
    monkeypatch.setattr(confirm.time, "monotonic", lambda: clock[0])
    return found


def options(made: Path, out: Path, **changes: object) -> SearchOptions:
    given = {
        "checkpoint": made / "run",
        "tables": (str(made / "here.jsonl"), str(made / "far.jsonl")),
        "images": "sklearn:digits",
        "teacher": "max",
        "max_images": 8,
        "evaluations": 24,
        "stop_gain": 0.0,
        "processes": 1,
        "confirm": True,
        "out": out,
    }
    return SearchOptions(**given | changes)


def front(out: Path, device: str = "lawful") -> list[FrontPoint]:
    return [point for point in read_front(out) if point.table.startswith(device)]


def test_all_of_the_front_is_measured_once(made, rounds, capsys):
    out, table = made / "out", (made / "here.jsonl").read_bytes()
    alone = front(out)
    assert all(p.measured_ms is None and p.predicted_ms == p.latency_ms for p in alone)
    search(options(made, out))
    said = capsys.readouterr().out
    assert "far/bottleneck-32-onnxruntime-fp32-b1-t2 cannot be confirmed here" in said
    assert "hwsearch kit --space bottleneck-32 --runtime onnxruntime" in said
    assert "of the front none is left" in said
    points, measured = front(out), [subnet for some in rounds for subnet in some]
    assert measured
    assert len(measured) == len(set(measured))
    assert {p.subnet for p in alone} <= {*measured, SPACE.minimum, SPACE.maximum}
    for point in points:
        assert point.latency_ms == point.measured_ms == pytest.approx(true_ms(point.subnet), 0.04)
        assert point.measured_stderr_ms is not None
        assert 0 < point.measured_stderr_ms < 0.02 * point.latency_ms
        assert point.predicted_ms not in (None, point.measured_ms)
    assert np.all(np.diff([p.latency_ms for p in points]) > 0)
    assert np.all(np.diff([p.distance for p in points]) < 0)
    assert all(p.measured_ms is None for p in front(out, "far"))
    assert (made / "here.jsonl").read_bytes() == table
    rows = read_journal(out / FILE, KIND)[1]
    assert [SPACE.subnet(**row["subnet"]) for row in rows] == measured
    before = (out / "front.csv").read_bytes(), len(rounds)
    for confirmed in (True, False):
        search(options(made, out, confirm=confirmed))
        assert ((out / "front.csv").read_bytes(), len(rounds)) == before


@pytest.mark.parametrize("slack", [1.002, 0.998])
def test_networks_near_a_limit_carry_their_chance(made, rounds, tmp_path, slack):
    """One that leads lies just inside the limit, or just outside and may meet it after all."""
    opened, evaluations = open_search(made / "out"), Evaluations.read(made / "out")
    inputs = replace(opened, options=replace(opened.options, confirm=True, out=tmp_path))
    (device,) = [one for one in inputs.devices() if one.costs.label.startswith("lawful")]
    near = find_front(evaluations, device)[5]
    limit = Limit.parse(f"latency_ms<={near.latency_ms * slack:.6f}")
    device = replace(device, limits=(limit,))
    front = told(find_front(evaluations, device), evaluations, device)
    chances = {point.subnet: point.within_limits for point in front}
    assert (near.subnet in chances) == (slack > 1)
    assert 0.5 < chances.get(near.subnet, 0.6) < 0.7
    assert max(chances.values()) > 0.99
    confirm.confirm(inputs, evaluations, [device, device])
    measured = {subnet for some in rounds for subnet in some}
    assert near.subnet in measured
    (_, device) = confirmed_devices(tmp_path, [device, device], inputs.tables)
    now = told(find_front(with_latencies(evaluations, [device]), device), evaluations, device)
    assert all(point.measured_ms <= limit.number for point in now)
    assert (near.subnet in {point.subnet for point in now}) == (
        device.costs.latency.predict_subnet(near.subnet).mean_ms[0] <= limit.number
    )


def test_time_ends_it_and_says_what_is_left(made, rounds, tmp_path, capsys):
    search(options(made, tmp_path, confirm_minutes=0.12, tables=(str(made / "here.jsonl"),)))
    assert [len(some) for some in rounds] == [2]
    assert "are left: give more --confirm-minutes" in capsys.readouterr().out
    with pytest.raises(HwsearchError, match="--confirm-minutes must be above 0"):
        options(made, tmp_path, confirm_minutes=0.0)


def test_chances_follow_the_interval():
    found = Prediction(*(np.array([ms]) for ms in (2.0, 1.8, 2.2)))
    assert found.chance_below(2.2)[0] == pytest.approx(0.95, abs=1e-4)
    assert found.chance_below(2.0)[0] == pytest.approx(0.5)
    assert found.chance_below(1.0)[0] < 1e-6


@pytest.fixture
def budgets(made, rounds, tmp_path):
    """Opens budgets on the search of this file, and says what of it is known beforehand."""
    inputs = open_search(made / "out")
    tables = [table for table in inputs.tables if table.device == "lawful"]
    with ExitStack() as journals:

        def opened(limit_ms: float) -> Budget:
            path = tmp_path / f"{limit_ms}.jsonl"
            journal = journals.enter_context(Journal.open(path, KIND, {}))
            return Budget.open(inputs, tables, limit_ms, journal)

        yield opened


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_budget_is_met_by_the_closest_network_that_is_within_it(made, budgets, rounds, share):
    evaluations = Evaluations.read(made / "out")
    subnets = [SPACE.decode(code) for code in evaluations.codes]
    truth = np.array([true_ms(subnet) for subnet in subnets])
    limit_ms = float(np.quantile(truth, share))
    budget = budgets(limit_ms)
    budget.measure(60.0)
    found = budget.best()
    assert true_ms(found.subnet) <= limit_ms
    surely = truth * (1 + 5 * NOISE) <= limit_ms
    assert found.distance <= evaluations.distance[surely].min()
    measured = [subnet for some in rounds for subnet in some]
    assert len(measured) == len(set(measured)) < 0.7 * len(subnets)


def test_an_engine_that_turns_out_too_slow_gives_way_to_the_next(budgets):
    budget = budgets(1.05 * true_ms(SPACE.maximum))
    budget.measure(60.0)
    first = budget.best()
    latency = Latency(1.0, 1.0, 1.0, 0.99 * budget.limit_ms, 0.001, (), None)
    assert budget.holds(first, latency)
    assert not budget.holds(first, msgspec.structs.replace(latency, measured_stderr_rel=0.02))
    second = budget.best()
    assert second.subnet != first.subnet
    assert second.distance > first.distance


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (Measured(1.02, 0.01, 9, ("budget",)), ""),
        (Measured(0.2, 0.4, 3, ("budget",)), "of 0.200 ms is uncertain by 40%"),
        (Measured(1.0, 0.01, 9, ("noisy",)), "of 1.000 ms is noisy"),
        (Measured(0.9, 0.01, 9, ()), "below what was expected, 0.970 to 1.030 ms"),
    ],
)
def test_a_measurement_in_doubt_is_made_again_and_the_slower_counts(capsys, first, said):
    expected = Latency(1.0, 0.97, 1.03, 0.0, 0.0, (), None)
    second = Measured(1.04, 0.005, 20, ())
    rounds = iter([{"engine": first}, {"engine": second}])
    found = measured_surely({"engine": expected}, lambda: next(rounds))
    assert found == {"engine": second if said else first}
    assert said in capsys.readouterr().out


def test_a_budget_that_nothing_meets_is_called_infeasible(budgets):
    limit_ms = 0.9 * true_ms(SPACE.minimum)
    budget = budgets(limit_ms)
    budget.measure(60.0)
    with pytest.raises(HwsearchError, match=r"infeasible: .* nearest is .* ms \(.*max-latency-ms="):
        budget.best()
