"""How the protocol spends its time, and where time comes from."""

import time
from collections.abc import Callable
from dataclasses import dataclass

PROTOCOL = 3
"""What visits in a journal are like: 1, the first; 2 adds p99, pace and sensors; 3 raw calls."""


@dataclass(frozen=True)
class Settings:
    """How the protocol spends its time.

    Attributes:
        budget_seconds: Time for all visits, those of earlier, interrupted runs included.
        window_seconds: Length of a job's window.
        reference_seconds: Length of a reference's window.
        min_calls: Calls in a window, however long they take.
        min_passes: Visits before a job may settle.
        min_seconds: Time before any job may settle: neighbours stay for a while.
        target_stderr: A job has settled when its standard error between passes is this small.
        gate_ratio: References this much slower than their lowest quartile mean a loud machine.
        gate_seconds: How long one visit waits for a loud machine to calm down.
        gate_share: Share of the whole time that may be spent on such waiting.
        loading_share: Share of the whole time that may be spent on loading engines anew.
        warmup_seconds: Calls after an engine is loaded that are not measured.
        pace_hz: Calls a second of a job, such as a camera's; 0 means back to back.
        memory_bytes: Engines loaded at a time may take this much.
        seed: Seed of the order of visits.
    """

    budget_seconds: float
    window_seconds: float = 0.012
    reference_seconds: float = 0.006
    min_calls: int = 4
    min_passes: int = 8
    min_seconds: float = 0.0
    target_stderr: float = 0.01
    gate_ratio: float = 1.5
    gate_seconds: float = 0.3
    gate_share: float = 0.1
    loading_share: float = 0.3
    warmup_seconds: float = 0.01
    pace_hz: float = 0.0
    memory_bytes: int = 1 << 30
    seed: int = 0

    @property
    def paced_seconds(self) -> float:
        """Length of a window in the rhythm of `pace_hz`; 0 back to back."""
        return (self.min_calls + 1) / self.pace_hz if self.pace_hz else 0.0


@dataclass(frozen=True)
class Clock:
    """Where time comes from; tests bring their own.

    Attributes:
        seconds: Monotonic seconds.
        unix: Unix time in seconds.
        sleep: Waits for some seconds.
    """

    seconds: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


REAL_CLOCK = Clock()
