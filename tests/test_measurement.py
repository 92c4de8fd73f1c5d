"""The protocol against a simulated machine whose speed drifts: no real time passes."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hwsearch.measurement import Clock, Job, Settings, Visit, Window, fit_scale, measure, summarise
from hwsearch.measurement.samples import MAX_RAW
from hwsearch.runtime.base import TensorSpec

REFERENCES = (Path("small"), Path("large"))


@dataclass
class Machine:
    """Engines named "NAME:MILLISECONDS"; caches and memory slow down on their own."""

    caches: Callable[[float], float] = lambda seconds: 1.0
    memory: Callable[[float], float] = lambda seconds: 1.0
    noise: float = 0.01
    seconds: float = 0.0
    loaded: set[Path] = field(default_factory=set)
    most_loaded: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, lambda: 1e9 + self.seconds, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @contextmanager
    def load(self, path: Path) -> Iterator["Engine"]:
        self.loaded.add(path)
        self.most_loaded = max(self.most_loaded, len(self.loaded))
        try:
            yield Engine(self, path)
        finally:
            self.loaded.discard(path)


@dataclass
class Engine:
    machine: Machine
    path: Path
    input_specs: tuple[TensorSpec, ...] = (TensorSpec("image", (1, 3, 4, 4)),)

    def window(self, feed: Mapping[str, np.ndarray], seconds: float) -> np.ndarray:
        assert feed["image"].shape == (1, 3, 4, 4)
        assert self.path in self.machine.loaded
        machine = self.machine
        caches, memory = machine.caches(machine.seconds), machine.memory(machine.seconds)
        if self.path.name == "small":
            call = 0.4e-3 * caches
        elif self.path.name == "large":
            call = 2.4e-3 * memory
        else:
            call = 1e-3 * float(self.path.name.split(":")[1]) * caches**0.4 * memory**0.5
        calls = max(1, round(seconds / call))
        window = call * np.exp(machine.rng.normal(0, machine.noise))
        machine.seconds += calls * call
        return window * np.exp(machine.rng.normal(0, machine.noise, calls))


def jobs(count: int = 12) -> list[Job]:
    times = np.geomspace(0.2, 4, count)
    return [Job(f"net{i}", Path(f"net{i}:{time}"), 1 << 20) for i, time in enumerate(times)]


def drift(seconds: float) -> float:
    return 1.0 + 0.15 * (1 + np.sin(seconds / 3.1))


def other_drift(seconds: float) -> float:
    return 1.0 + 0.2 * (1 + np.cos(seconds / 4.7))


def run(
    machine: Machine, work: list[Job], settings: Settings, rest: Callable[[], object] = lambda: None
) -> tuple[str, list[Visit]]:
    visits: list[Visit] = []
    how = {"settings": settings, "rest": rest, "clock": machine.clock}
    end = measure(work, REFERENCES, machine.load, visits.append, **how)
    return end, visits


def errors(work: list[Job], latencies: Mapping[str, float]) -> np.ndarray:
    """Relative errors up to one common factor, which the nominal times set."""
    logs = np.log([latencies[job.key] / float(job.engine.name.split(":")[1]) for job in work])
    return np.abs(logs - np.median(logs))


def test_drift_is_taken_out() -> None:
    machine, work = Machine(drift, other_drift), jobs()
    _, visits = run(machine, work, Settings(budget_seconds=20, target_stderr=1e-9))
    estimates = summarise(visits)
    corrected = errors(work, {job: estimate.latency_ms for job, estimate in estimates.items()})
    assert corrected.max() < 0.015
    for job, estimate in estimates.items():
        raw = [visit.window.p50_ms for visit in visits if visit.job == job]
        assert np.std(np.log(raw)) > 4 * np.std(np.log(estimate.pass_ratios))
    scale = fit_scale(visits)
    np.testing.assert_allclose(scale.exponents, (0.4, 0.5), atol=0.1)
    np.testing.assert_allclose(scale.nominal_ms, (0.4, 2.4), rtol=0.1)
    for estimate in estimates.values():
        assert estimate.p10_ms < estimate.p50_ms < estimate.p90_ms < estimate.p99_ms
        assert np.quantile(estimate.pass_ratios, 0.25) == pytest.approx(1.0, abs=1e-3)


def test_another_scale_puts_milliseconds_on_an_older_table() -> None:
    machine, work = Machine(drift, other_drift, noise=0.003), jobs()
    _, visits = run(machine, work, Settings(budget_seconds=20, target_stderr=1e-9))
    scale = fit_scale(visits)
    slow = Machine(lambda t: 1.3 * drift(t), lambda t: 1.3 * other_drift(t), noise=0.003)
    _, later = run(slow, work, Settings(budget_seconds=20, target_stderr=1e-9))
    again = summarise(later, scale)
    for job, estimate in summarise(visits).items():
        assert again[job].latency_ms == pytest.approx(estimate.latency_ms, rel=0.05)


def test_neighbours_that_take_the_core_do_not_show() -> None:
    rng = np.random.default_rng(1)

    def stolen(seconds: float) -> float:
        return 1.0 if rng.random() < 0.8 else rng.uniform(1.3, 2.5)

    machine, work = Machine(stolen, stolen, noise=0.003), jobs()
    _, visits = run(machine, work, Settings(budget_seconds=20, target_stderr=1e-9))
    latencies = {job: estimate.latency_ms for job, estimate in summarise(visits).items()}
    assert errors(work, latencies).max() < 0.04


def test_quiet_machine_settles_and_stops() -> None:
    machine = Machine(noise=0.005)
    end, visits = run(machine, jobs(), Settings(budget_seconds=1000))
    assert end == "settled"
    assert {visit.number for visit in visits} == set(range(8))
    assert machine.seconds < 10
    assert all(estimate.stderr_rel <= 0.01 for estimate in summarise(visits).values())


def test_few_jobs_are_visited_for_a_while() -> None:
    machine = Machine(noise=0.005)
    end, visits = run(machine, jobs(2), Settings(budget_seconds=1000, min_seconds=3))
    assert end == "settled" and 3 < machine.seconds < 4
    assert visits[-1].at - visits[0].at > 2.5


def test_loud_machine_keeps_to_its_budget() -> None:
    machine = Machine(noise=0.2)
    end, visits = run(machine, jobs(), Settings(budget_seconds=12))
    assert end == "budget"
    assert machine.seconds < 13
    counts = np.bincount([int(visit.job[3:]) for visit in visits])
    assert counts.max() - counts.min() <= 1


def test_a_rest_takes_nothing_from_the_budget() -> None:
    machine, settings = Machine(), Settings(budget_seconds=12, target_stderr=1e-9)
    rests = iter([*[0.0] * 50, 100.0])
    end, visits = run(machine, jobs(), settings, lambda: machine.sleep(next(rests, 0.0)))
    _, restless = run(Machine(), jobs(), settings)
    assert end == "budget" and machine.seconds > 100
    assert len(visits) > 0.9 * len(restless)
    assert max(visit.seconds for visit in visits) < 1


def test_order_is_random_and_passes_are_spread() -> None:
    _, visits = run(Machine(), jobs(), Settings(budget_seconds=1000))
    rounds = [[visit.job for visit in visits if visit.number == number] for number in range(2)]
    assert rounds[0] != rounds[1] and sorted(rounds[0]) == sorted(rounds[1])
    assert [visit.number for visit in visits] == sorted(visit.number for visit in visits)


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_killed_and_resumed_nothing_is_lost_or_repeated(cut: int) -> None:
    class Killed(BaseException):
        pass

    rows: list[str] = []

    def journal(visit: Visit) -> None:
        if len(rows) == cut:
            raise Killed
        rows.append(json.dumps(visit.as_row()))

    machine, settings = Machine(noise=0.005), Settings(budget_seconds=1000)
    with pytest.raises(Killed):
        measure(jobs(), REFERENCES, machine.load, journal, settings=settings, clock=machine.clock)
    assert not machine.loaded
    done = [Visit.from_row(json.loads(row)) for row in rows]
    later: list[Visit] = []
    measure(
        jobs(),
        REFERENCES,
        machine.load,
        later.append,
        settings=settings,
        visits=done,
        clock=machine.clock,
    )
    numbers = sorted((visit.job, visit.number) for visit in [*done, *later])
    assert numbers == sorted((job.key, number) for job in jobs() for number in range(8))


def test_loud_moment_is_waited_out_or_marked() -> None:
    def burst(seconds: float) -> float:
        return 3.0 if 1.0 < seconds < 1.2 or 2.0 < seconds < 3.5 else 1.0

    _, visits = run(Machine(burst, burst), jobs(), Settings(budget_seconds=8, gate_share=1.0))
    noisy = [visit for visit in visits if visit.noisy]
    waited = [visit for visit in visits if visit.seconds > 0.2]
    assert noisy and all(0.9 < visit.at - 1e9 < 3.6 for visit in noisy)
    assert waited
    estimates = summarise(visits)
    assert not any(estimate.noisy for estimate in estimates.values())
    latencies = {job: estimate.latency_ms for job, estimate in estimates.items()}
    assert errors(jobs(), latencies).max() < 0.02


def test_memory_budget_makes_cohorts_that_come_back() -> None:
    machine = Machine()
    work = [Job(job.key, job.engine, 20 << 20) for job in jobs()]
    settings = Settings(budget_seconds=1000, memory_bytes=300 << 20)
    end, visits = run(machine, work, settings)
    assert end == "settled"
    assert machine.most_loaded == 4 + len(REFERENCES)
    first = [i for i, visit in enumerate(visits) if visit.job == work[0].key]
    assert first[-1] - first[0] > len(visits) / 2


def test_short_budget_goes_to_the_essential_jobs() -> None:
    work = [
        Job(job.key, job.engine, job.size_bytes, essential=i % 3 == 0)
        for i, job in enumerate(jobs(30))
    ]
    _, visits = run(Machine(), work, Settings(budget_seconds=2.5))
    passes = {job.key: sum(visit.job == job.key for visit in visits) for job in work}
    essential = [passes[job.key] for job in work if job.essential]
    others = [passes[job.key] for job in work if not job.essential]
    assert min(essential) >= 3
    assert min(others) >= 1 and np.mean(others) < np.mean(essential) / 2


def test_the_job_at_work_is_announced_before_it_is_touched() -> None:
    said: list[str] = []
    machine = Machine()

    @contextmanager
    def load(path: Path) -> Iterator[Engine]:
        if path.name.startswith("net5"):
            raise MemoryError
        with machine.load(path) as engine:
            yield engine

    with pytest.raises(MemoryError):
        measure(
            jobs(),
            REFERENCES,
            load,
            lambda visit: None,
            settings=Settings(budget_seconds=1),
            watch=said.append,
            clock=machine.clock,
        )
    assert said[-1] == "net5"


def test_a_pace_spreads_the_calls_and_is_kept_through_the_journal() -> None:
    machine, work = Machine(), jobs(3)
    _, visits = run(machine, work, Settings(budget_seconds=30, pace_hz=20, min_calls=5))
    assert {visit.window.calls for visit in visits} == {5}
    assert min(visit.seconds for visit in visits) > 5 / 20
    rows = [json.loads(json.dumps(visit.as_row())) for visit in visits]
    assert [Visit.from_row(row).as_row() for row in rows] == rows
    estimates = summarise(visits)
    assert errors(work, {job: found.latency_ms for job, found in estimates.items()}).max() < 0.02


def test_raw_calls_are_kept_in_order_and_thinned_if_many() -> None:
    few, many = np.linspace(1, 2, 9) / 1e3, np.linspace(1, 2, 1001) / 1e3
    assert Window.of(few).raw_us == tuple(np.round(1e6 * few[1:], 0).tolist())
    window = Window.of(many)
    assert (window.calls, len(window.raw_us)) == (1000, MAX_RAW)
    assert list(window.raw_us) == sorted(window.raw_us) and window.raw_us[-1] == 2000
    assert Window.from_list(window.as_list()) == window
