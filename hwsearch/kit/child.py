"""Child processes seen from outside: started, watched, and started again if they die."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import hwsearch
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit.order import KIND, BuildOrder, CheckOrder, Order
from hwsearch.kit.talk import ENGINE_FAILED, fresh_note
from hwsearch.measurement import REFERENCES

MOST_REASON = 1000
"""Characters of a reason that are kept."""

LOG = "worker.log"
_OTHER = "Check that the runtime works here, or use another --runtime or --precision"

OnNews = Callable[[int], object]
"""Called now and then with the pieces of work done so far, such as visits."""

Say = Callable[[str], object]
"""Called with what a person should know."""


def measure_in_child(order: Order, folder: Path, on_news: OnNews, say: Say) -> None:
    """Measures in fresh processes until the order is done.

    A process that dies is started again and goes on where it was; the job it died of is
    noted in the journal and left out after `MAX_CRASHES`.

    Args:
        order: What to measure.
        folder: Where the order and the process's messages are kept.
        on_news: Called now and then with the number of visits so far.
        say: Called with what a person should know.

    Raises:
        HwsearchError: What the process itself reported, or if a reference makes it die.
    """
    _until_done("hwsearch.kit.worker", order, folder, on_news, say)


def build_in_child(order: BuildOrder, folder: Path, on_news: OnNews, say: Say) -> None:
    """Builds engines in fresh processes until the order is done, likewise."""
    _until_done("hwsearch.kit.builder", order, folder, on_news, say)


def check_in_child(order: CheckOrder, folder: Path, say: Say) -> None:
    """Lets an engine compute in a fresh process until the order is done, likewise."""
    _until_done("hwsearch.kit.checker", order, folder, lambda done: None, say)


def _until_done(
    module: str, order: Order | BuildOrder | CheckOrder, folder: Path, on_news: OnNews, say: Say
) -> None:
    path = folder / "order.json"
    order.write(path)
    while reason := _run(module, path, on_news, say):
        job = (folder / "at").read_text(errors="replace").strip()
        if not job or job in REFERENCES:
            why = reason.rstrip(".") + _last_words(folder / LOG)
            raise HwsearchError(f"a child process died at its start: {why}", fix=_OTHER)
        say(f"{job} ended a child process: {reason}")
        with Journal.open(order.journal, KIND, order.header) as journal:
            journal.append({"crash": job, "reason": " ".join(reason.split())[:MOST_REASON]})


def _run(module: str, path: Path, on_news: OnNews, say: Say) -> str:
    """Runs the process once; returns why it died, or nothing if it did its work."""
    fresh_note(path)
    reason, log = "", path.with_name(LOG)
    with log.open("w") as file, _started(module, path, file) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if not line.startswith("{"):  # some runtimes talk to everyone
                file.write(line)
                continue
            news = json.loads(line)
            reason = news.get("failed", reason)
            if "error" in news:
                child.wait()
                error = news["error"]
                raise HwsearchError(error["what"], where=error["where"], fix=error["fix"])
            if "repaired" in news:
                say(news["repaired"])
            on_news(news.get("done", 0))
        status = child.wait()
    if status == 0:
        return ""
    if status == ENGINE_FAILED:
        return reason
    if status < 0:
        return signal.Signals(-status).name
    raise HwsearchError(
        f"a child process failed with status {status}{_last_words(log)}", fix=_OTHER
    )


def _last_words(log: Path) -> str:
    """Returns the last line that a process wrote: its log is in a folder that goes with it."""
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"; its last words: {last[:MOST_REASON]}" if last else ""


@contextmanager
def _started(module: str, path: Path, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *_start_of(module), str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _start_of(module: str) -> tuple[str, str]:
    """How Python starts a module of this package, which may lie in a zip file."""
    home = Path(hwsearch.__file__).parents[1]
    return (str(home), module) if home.is_file() else ("-m", module)
