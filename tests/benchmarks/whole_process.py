"""Runs a command as a user would, and says how long it took and how much memory it held."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class Ran:
    """One finished command.

    Attributes:
        seconds: Wall-clock time.
        peak_memory_mb: Most resident memory of the command and all its children together,
            sampled four times a second; pages that processes share are counted once for each.
    """

    seconds: float
    peak_memory_mb: float


def run_hwsearch(words: Sequence[str]) -> Ran:
    """Runs `hwsearch` with the given words, its output going to the terminal.

    Raises:
        SystemExit: If the command fails.
    """
    started, peak = time.monotonic(), 0.0
    process = subprocess.Popen([sys.executable, "-m", "hwsearch", *words])
    while process.poll() is None:
        peak = max(peak, _resident_mb(process.pid))
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise SystemExit(f"hwsearch {' '.join(words)} ended with {process.returncode}")
    return Ran(time.monotonic() - started, peak)


def _resident_mb(root: int) -> float:
    """Resident memory of a process and its descendants, in MB."""
    total, waiting = 0.0, [root]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            pages = int((process / "statm").read_text().split()[1])
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while being looked at
        total += pages * 4096 / 1e6
    return total
