"""Engines in memory while they are measured: fed, timed, and loaded anew.

Where an engine's memory happens to lie moves its speed by half a percent to one percent, in one
process as between two, and that of the references moves all rows. So engines are loaded anew again
and again while a run lasts: passes then tell this from speed, and references average over it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hwsearch.measurement.samples import REFERENCES, Job, Window
from hwsearch.measurement.settings import Clock, Settings


class TimedEngine(Protocol):
    """The part of an engine that is measured (see `hwsearch.runtime`)."""

    @property
    def input_specs(self) -> tuple[Any, ...]: ...  # noqa: D102

    def window(self, feed: Mapping[str, np.ndarray], seconds: float) -> np.ndarray:
        """Raw seconds of consecutive calls."""
        ...


Load = Callable[[Path], AbstractContextManager[TimedEngine]]

LOADED_FACTOR, LOADED_BYTES = 3, 1 << 20
"""A loaded engine takes about this many times its files, plus this much."""


@dataclass(frozen=True)
class Loaded:
    """One engine in memory.

    Attributes:
        path: Its main file.
        engine: What is called.
        feed: Its inputs.
        call_seconds: The shortest call while it warmed up.
        stack: Unloads it.
    """

    path: Path
    engine: TimedEngine
    feed: dict[str, np.ndarray]
    call_seconds: float
    stack: ExitStack

    def window(self, seconds: float, min_calls: int) -> Window:
        """Calls it back to back for some time, and for some calls however long they take."""
        enough = (min_calls + 0.5) * self.call_seconds
        return Window.of(self.engine.window(self.feed, max(seconds, enough)))

    def call(self) -> np.ndarray:
        """Calls it once; returns seconds, float[1]."""
        return self.engine.window(self.feed, 0.0)[:1]


@dataclass
class LoadedEngines:
    """Both references, and the engines of the jobs at hand.

    Attributes:
        load: Loads an engine file.
        watch: Called with the name of what is loaded: the one to blame for a crash.
        settings: Seed of the inputs and length of the warm-up.
        clock: Where time comes from.
        seconds_loading_anew: Time spent on what had been loaded before.
        longest_loading_anew: The most seconds that this has taken at once.
    """

    load: Load
    watch: Callable[[str], None]
    settings: Settings
    clock: Clock
    seconds_loading_anew: float = 0.0
    longest_loading_anew: float = 0.0
    _references: list[Loaded] = field(default_factory=list)
    _jobs: dict[str, Loaded] = field(default_factory=dict)

    @property
    def references(self) -> tuple[Loaded, ...]:
        """The small and the large reference."""
        return tuple(self._references)

    def __getitem__(self, job: str) -> Loaded:
        return self._jobs[job]

    def open(self, references: Sequence[Path]) -> None:
        """Loads the small and the large reference."""
        for name, path in zip(REFERENCES, references, strict=True):
            self._references.append(self._load(name, path))

    def hold(self, jobs: Sequence[Job]) -> bool:
        """Has the engines of these jobs loaded, and no others if any was missing.

        Returns:
            Whether any was missing.
        """
        if all(job.key in self._jobs for job in jobs):
            return False
        _unload(self._jobs.values())
        self._jobs.clear()
        for job in jobs:
            self._jobs[job.key] = self._load(job.key, job.engine)
        return True

    def load_references_anew(self) -> None:
        """Puts both references into other memory."""
        began, paths = self.clock.seconds(), [loaded.path for loaded in self._references]
        _unload(self._references)
        self._references.clear()
        self.open(paths)
        self._note_anew(began)

    def load_anew(self, job: Job) -> None:
        """Puts the engine of a job that is held into other memory."""
        began = self.clock.seconds()
        _unload([self._jobs.pop(job.key)])
        self._jobs[job.key] = self._load(job.key, job.engine)
        self._note_anew(began)

    def _note_anew(self, began: float) -> None:
        took = self.clock.seconds() - began
        self.seconds_loading_anew += took
        self.longest_loading_anew = max(self.longest_loading_anew, took)

    def _load(self, name: str, path: Path) -> Loaded:
        self.watch(name)
        with ExitStack() as stack:
            engine = stack.enter_context(self.load(path))
            rng = np.random.default_rng(self.settings.seed)
            feed = {
                spec.name: rng.standard_normal(spec.shape).astype(spec.dtype)
                for spec in engine.input_specs
            }
            engine.window(feed, 0.0)
            call_seconds = float(engine.window(feed, self.settings.warmup_seconds).min())
            return Loaded(path, engine, feed, call_seconds, stack.pop_all())

    def __enter__(self) -> "LoadedEngines":
        return self

    def __exit__(self, *error: object) -> None:
        _unload([*self._jobs.values(), *self._references])


def _unload(engines: Iterable[Loaded]) -> None:
    for loaded in engines:
        loaded.stack.close()
