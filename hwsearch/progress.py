"""What a person sees while something runs: one console and one progress bar."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_WIDTH = 120
"""Columns of a table when the output is a file or a pipe."""

console = Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH
)

Advance = Callable[..., None]
"""Called as `advance(steps=1, note="")`."""


@contextmanager
def track(description: str, total: int, *, start: int = 0) -> Iterator[Advance]:
    """Shows how far a long job is: a bar on a terminal, plain lines otherwise.

    Args:
        description: What is being done, such as "train".
        total: Number of steps of the whole job.
        start: Steps done by an earlier run that is now resumed.

    Yields:
        `advance(steps=1, note="")`, to be called after each piece of work; the note
        (a loss, a count) stands beside the bar.
    """
    if not console.is_terminal:
        yield _PlainLines(description, total, done=start).advance
        return
    with _bar() as bar:
        task = bar.add_task(description, total=total, completed=start, note="")
        yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )


class _PlainLines:
    """Writes a line each time another tenth is done, or after half a silent minute."""

    def __init__(self, description: str, total: int, done: int) -> None:
        self.description, self.total = description, total
        self.done = self.resumed_at = self.told_at = done
        self.started = self.told = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        tenth_done = (self.done - self.told_at) * 10 >= self.total
        if tenth_done or self.done == self.total or now - self.told >= 30:
            console.print(self._line(now - self.started, note), markup=False)
            self.told_at, self.told = self.done, now

    def _line(self, seconds: float, note: str) -> str:
        steps = self.done - self.resumed_at
        left = seconds / steps * (self.total - self.done) if steps else 0.0
        share = f"{self.done}/{self.total} ({self.done / max(self.total, 1):.0%})"
        estimate = f", {_clock(left)} left" if self.done < self.total else ""
        return f"{self.description}: {share}, {_clock(seconds)}{estimate}" + (
            f"  {note}" if note else ""
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
