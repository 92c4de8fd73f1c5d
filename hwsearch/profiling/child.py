"""The measuring process seen from outside: started, watched, and started again if it dies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.measurement import REFERENCES
from hwsearch.profiling.order import KIND, Order
from hwsearch.progress import console

_ENGINE_FAILED = 3


@dataclass
class Ticker:
    """Moves a bar of seconds.

    Attributes:
        advance: As `hwsearch.progress.track` gives it.
        told: Up to when the bar has been moved.
    """

    advance: Callable[..., None]
    told: float = field(default_factory=time.monotonic)

    def news(self, visits: int) -> None:
        """Moves the bar by the whole seconds gone."""
        seconds = int(time.monotonic() - self.told)
        self.told += seconds
        self.advance(seconds, note=f"{visits} visits")


def measure_in_child(order: Order, folder: Path, on_news: Callable[[int], object]) -> None:
    """Runs the order in fresh processes until it is done.

    A process that dies is started again and goes on where it was; the job it died of is
    noted in the journal and left out after `MAX_CRASHES`.

    Args:
        order: What to measure.
        folder: Where the order and the process's messages are kept.
        on_news: Called now and then with the number of visits so far.

    Raises:
        HwsearchError: What the process itself reported, or if a reference makes it die.
    """
    path = folder / "order.json"
    order.write(path)
    while reason := _run(path, folder, on_news):
        job = (folder / "at").read_text(errors="replace").strip()
        if not job or job in REFERENCES:
            raise HwsearchError(
                f"the measuring process died at its start: {reason}",
                where=folder / "worker.log",
                fix="Read its messages there",
            )
        console.print(f"{job} ended the measuring process: {reason}", markup=False)
        with Journal.open(order.journal, KIND, order.header) as journal:
            journal.append({"crash": job, "reason": reason})


def _run(path: Path, folder: Path, on_news: Callable[[int], object]) -> str:
    """Runs the process once; returns why it died, or nothing if it did its work."""
    (folder / "at").unlink(missing_ok=True)
    (folder / "at").touch()
    reason = ""
    with (folder / "worker.log").open("w") as log, _started(path, log) as child:
        assert child.stdout is not None
        for line in child.stdout:
            news = json.loads(line)
            reason = news.get("failed", reason)
            if "error" in news:
                child.wait()
                error = news["error"]
                raise HwsearchError(error["what"], where=error["where"], fix=error["fix"])
            if "repaired" in news:
                console.print(news["repaired"], markup=False)
            on_news(news.get("visits", 0))
        status = child.wait()
    if status == 0:
        return ""
    if status == _ENGINE_FAILED:
        return reason
    if status < 0:
        return signal.Signals(-status).name
    raise HwsearchError(
        f"the measuring process failed with status {status}",
        where=folder / "worker.log",
        fix="Read its messages there",
    )


@contextmanager
def _started(path: Path, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hwsearch.profiling.worker", str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()
