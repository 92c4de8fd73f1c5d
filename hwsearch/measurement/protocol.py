"""The protocol: many short passes in random order, each visit between two reference networks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hwsearch.measurement.loaded import (
    LOADED_BYTES,
    LOADED_FACTOR,
    Load,
    Loaded,
    LoadedEngines,
)
from hwsearch.measurement.samples import Job, Pair, Visit, Window
from hwsearch.measurement.sensors import Sensors
from hwsearch.measurement.settings import REAL_CLOCK, Clock, Settings
from hwsearch.measurement.statistics import summarise

SHARED_SECONDS = 0.1
"""The references after one visit are those before the next if it starts this soon."""

_ROUNDS_A_TURN = 2
"""Rounds before a cohort makes room for the next."""

_REFERENCE_VISITS = 8
"""Visits before the references make room for themselves, loaded anew."""


def measure(
    jobs: Sequence[Job],
    references: tuple[Path, Path],
    load: Load,
    record: Callable[[Visit], None],
    *,
    settings: Settings,
    visits: Sequence[Visit] = (),
    watch: Callable[[str], None] = lambda key: None,
    rest: Callable[[], object] = lambda: None,
    clock: Clock = REAL_CLOCK,
) -> str:
    """Visits all jobs again and again until each has settled or the time is over.

    Args:
        jobs: Engines to be measured.
        references: Engines of the small and the large reference.
        load: Loads an engine file.
        record: Called with every completed visit, before the next begins.
        settings: How the time is spent.
        visits: Visits completed by earlier runs; none is repeated.
        watch: Called with a job's key before its engine is touched: the one to blame for a crash.
        rest: Called before each visit; the time that it takes is beside the budget.
        clock: Where time comes from.

    Returns:
        "settled", or "budget" if the time ended first.
    """
    began = clock.seconds()  # loading the references is within the budget, too
    with LoadedEngines(load, watch, settings, clock) as engines:
        engines.open(references)
        session = _Session(
            list(jobs), engines, record, settings, watch, rest, clock, list(visits), began
        )
        return session.run()


@dataclass
class _Session:
    jobs: list[Job]
    engines: LoadedEngines
    record: Callable[[Visit], None]
    settings: Settings
    watch: Callable[[str], None]
    rest: Callable[[], object]
    clock: Clock
    visits: list[Visit]
    began: float
    counts: dict[str, int] = field(init=False)
    took: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(init=False)
    deadline: float = field(init=False)
    renewed: int = 0
    last: tuple[float, Pair] | None = None
    waited: float = 0.0
    sensors: Sensors = field(default_factory=Sensors)

    def __post_init__(self) -> None:
        self.counts = {job.key: 0 for job in self.jobs}
        self.phases = {job.key: i / len(self.jobs) for i, job in enumerate(self.jobs)}
        for visit in self.visits:
            self.counts[visit.job] = self.counts.get(visit.job, 0) + 1
            self.took[visit.job] = visit.seconds
        spent = sum(visit.seconds for visit in self.visits)
        self.deadline = self.began + self.settings.budget_seconds - spent

    def run(self) -> str:
        """Visits jobs round by round; see `measure`."""
        number, active = 0, self._active()
        while active:
            visited, cohorts = len(self.visits), self._cohorts(active)
            rounds = range(number, number + (1 if len(cohorts) == 1 else _ROUNDS_A_TURN))
            share = self._share()
            for cohort in cohorts:
                for job in self._order(cohort, rounds, share):
                    self._rest()
                    if self.clock.seconds() + self.took.get(job.key, 0.0) >= self.deadline:
                        return "budget"
                    if self.engines.hold(cohort):
                        self.last = None
                    self._visit(job)
            number = rounds.stop
            if len(self.visits) > visited:
                active = self._active()
        return "settled"

    def _rest(self) -> None:
        """Rests if need be, as if no time had passed."""
        began = self.clock.seconds()
        self.rest()
        rested = self.clock.seconds() - began
        self.began += rested
        self.deadline += rested

    def _active(self) -> list[Job]:
        if self.clock.seconds() < self.began + self.settings.min_seconds:
            return self.jobs
        estimates = summarise(self.visits)
        return [
            job
            for job in self.jobs
            if self.counts[job.key] < self.settings.min_passes
            or estimates[job.key].stderr_rel > self.settings.target_stderr
        ]

    def _cohorts(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Splits jobs so that each part fits the memory budget."""
        cohorts: list[list[Job]] = []
        room = 0
        for job in jobs:
            size = LOADED_FACTOR * job.size_bytes + LOADED_BYTES
            if not cohorts or size > room:
                cohorts.append([])
                room = self.settings.memory_bytes
            cohorts[-1].append(job)
            room -= size
        return cohorts

    def _share(self) -> float:
        """Share of the rounds in which the inessential jobs are visited."""
        essential = sum(self.took.get(job.key, 0.0) for job in self.jobs if job.essential)
        others = sum(self.took.get(job.key, 0.0) for job in self.jobs if not job.essential)
        left = self.deadline - self.clock.seconds() - self.settings.min_passes * essential
        whole = self.settings.min_passes * others
        return 1.0 if whole == 0 else float(np.clip(left / whole, 0.1, 1.0))

    def _order(self, cohort: Sequence[Job], rounds: range, share: float) -> Iterator[Job]:
        """Yields the jobs due in each round, shuffled; in round 0 the essential ones first."""
        for number in rounds:
            order = np.random.default_rng([self.settings.seed, number]).permutation(len(cohort))
            due = [cohort[i] for i in order if self._due(cohort[i], number, share)]
            if number == 0:
                due.sort(key=lambda job: not job.essential)
            yield from due

    def _due(self, job: Job, number: int, share: float) -> bool:
        whole = job.essential or share == 1.0
        wanted = number if whole else int(number * share + self.phases[job.key])
        return self.counts[job.key] <= wanted

    def _load_anew(self, job: Job) -> None:
        """Loads the references, or else the job, again unless loading has taken its share."""
        now, needed = self.clock.seconds(), self.took.get(job.key, 0.0)
        share = self.settings.loading_share * (now - self.began)
        late = now + needed + self.engines.longest_loading_anew >= self.deadline
        if late or self.engines.seconds_loading_anew > share:
            return
        if len(self.visits) >= self.renewed + _REFERENCE_VISITS:
            self.engines.load_references_anew()
            self.renewed, self.last = len(self.visits), None
        elif self.counts[job.key]:
            self.engines.load_anew(job)

    def _job_window(self, loaded: Loaded) -> Window:
        """Calls back to back, or in the rhythm of a camera, which finds caches cold."""
        if not self.settings.pace_hz:
            return loaded.window(self.settings.window_seconds, self.settings.min_calls)
        calls, due = [], self.clock.seconds()
        for _ in range(self.settings.min_calls + 1):
            self.clock.sleep(max(0.0, due - self.clock.seconds()))
            calls.append(loaded.call())
            due += 1 / self.settings.pace_hz
        return Window.of(np.concatenate(calls))

    def _visit(self, job: Job) -> None:
        begin, throttles = self.clock.seconds(), self.sensors.throttle_count()
        self._load_anew(job)
        self.watch(job.key)
        before = self._quiet_pair()
        energy_uj = self.sensors.energy_uj()
        window = self._job_window(self.engines[job.key])
        readings = self.sensors.readings(window.calls, energy_uj)
        after = self._pair()
        visit = Visit(
            job=job.key,
            number=self.counts[job.key],
            at=self.clock.unix(),
            seconds=self.clock.seconds() - begin,
            window=window,
            before=before,
            after=after,
            noisy=self._loud(before) or self._loud(after),
            throttled=self.sensors.throttle_count() > throttles,
            readings=readings,
        )
        self.record(visit)
        self.counts[job.key] += 1
        self.took[job.key] = visit.seconds
        self.visits.append(visit)

    def _pair(self) -> Pair:
        small, large = (
            reference.window(self.settings.reference_seconds, self.settings.min_calls)
            for reference in self.engines.references
        )
        self.last = (self.clock.seconds(), (small, large))
        return small, large

    def _quiet_pair(self) -> Pair:
        """References before a visit; waits a little while the machine is loud."""
        if self.last and self.clock.seconds() - self.last[0] < SHARED_SECONDS:
            pair = self.last[1]
        else:
            pair = self._pair()
        began = now = self.clock.seconds()
        while self._loud(pair) and now < began + self.settings.gate_seconds:
            if self.waited > self.settings.gate_share * (now - self.began):
                break
            self.clock.sleep(self.settings.gate_seconds / 10)
            pair = self._pair()
            self.waited += self.clock.seconds() - now
            now = self.clock.seconds()
        return pair

    def _loud(self, pair: Pair) -> bool:
        if not self.visits:
            return False
        seen = [[w.p10_ms for w in visit.after] for visit in self.visits[-1000:]]
        quiet = np.quantile(seen, 0.25, axis=0)
        now = np.array([window.p10_ms for window in pair])
        return bool(np.any(now > self.settings.gate_ratio * quiet))
