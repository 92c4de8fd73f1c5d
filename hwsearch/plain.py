"""Progress in plain lines, with an estimate: for logs, pipes and devices that only have Python."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SILENT_SECONDS = 30.0
"""Something is said at least this often."""


class PlainLines:
    """Writes a line each time another tenth is done, or after half a silent minute.

    Args:
        description: What is being done, such as "train".
        total: Number of steps of the whole job.
        say: Called with each line.
        done: Steps done by an earlier run that is now resumed.
    """

    def __init__(
        self, description: str, total: int, say: Callable[[str], None], done: int = 0
    ) -> None:
        self.description, self.total, self.say = description, total, say
        self.done = self.resumed_at = self.told_at = done
        self.started = self.told = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Counts steps; the note (a loss, a count) stands at the end of the line."""
        before, now = self.done, time.monotonic()
        self.done = min(before + steps, self.total)
        tenth_done = (self.done - self.told_at) * 10 >= self.total
        finished = before < self.done == self.total
        if tenth_done or finished or now - self.told >= SILENT_SECONDS:
            self.say(self._line(now - self.started, note))
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


@dataclass
class Ticker:
    """Moves a bar of seconds.

    Attributes:
        advance: As `PlainLines.advance` or what `hwsearch.progress.track` gives.
        told: Up to when the bar has been moved.
    """

    advance: Callable[..., None]
    told: float = field(default_factory=time.monotonic)

    def news(self, visits: int) -> None:
        """Moves the bar by the whole seconds gone."""
        seconds = int(time.monotonic() - self.told)
        self.told += seconds
        self.advance(seconds, note=f"{visits} visits")
