"""A pool of processes that do tasks; one that is killed loses nothing but what it was at.

A search scores subnets in it, a study trains and probes networks.
"""

import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from hwsearch.errors import HwsearchError
from hwsearch.profiling.parallel import end_with_parent
from hwsearch.space import Subnet

Distance = Callable[[Subnet], float]

Task = TypeVar("Task", bound=Hashable)
Found = TypeVar("Found")

MOST_DEATHS = 2
"""Processes that may die of one task, or in turn while they start, before it is given up."""

SMALLER = "use fewer --processes or --max-images"
"""What helps a search whose processes need too much memory."""

_READY = "ready"
_LAST_SECONDS = 1.0
"""Between the end of a link and the end of its process."""

_SPAWN = get_context("spawn")


@dataclass(eq=False)
class _Worker:
    """One process and what it is at.

    Attributes:
        process: The process.
        link: To it; at its end once it is dead.
        task: Place of the task that it does, and the task, or None.
        ready: Whether it has opened what it needs.
    """

    process: SpawnProcess
    link: Connection
    task: tuple[int, Any] | None = None
    ready: bool = False

    @classmethod
    def start(cls, opened: Callable[[], Callable[[Any], Any]]) -> "_Worker":
        link, its_link = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(its_link, opened), daemon=True)
        process.start()
        its_link.close()  # so that the link ends with the process
        return cls(process, link)

    def end(self) -> str:
        """Ends the process if it lives; returns how it ended."""
        self.process.kill()
        self.process.join()
        self.link.close()
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"status {code}"


class Pool(Generic[Task, Found]):
    """Does tasks in processes that open once what they need.

    A dead process is replaced, and its task given to another one. Used as a context, which ends
    the processes.

    Args:
        opened: Gives a process what does a task; importable by it.
        processes: Most processes.
        doing: What is done with a task, in words.
        smaller: What helps if memory is short.
        lost: From a task that `MOST_DEATHS` processes died of, and how they did, to what stands
            for its result; without it that is an error.
        grace_seconds: How long processes may take to keep what they are at when the pool ends.
    """

    def __init__(
        self,
        opened: Callable[[], Callable[[Task], Found]],
        processes: int,
        *,
        doing: str = "scoring subnet",
        smaller: str = SMALLER,
        lost: Callable[[Task, str], Found] | None = None,
        grace_seconds: float = 0.0,
    ) -> None:
        self._opened, self._processes, self._grace = opened, processes, grace_seconds
        self._doing, self._smaller, self._lost = doing, smaller, lost
        self._workers: list[_Worker] = []
        self._deaths: Counter[Task | None] = Counter()

    def __enter__(self) -> "Pool[Task, Found]":
        return self

    def __exit__(self, *error: object) -> None:
        if self._grace:
            self._ask_to_end()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _ask_to_end(self) -> None:
        """Lets processes that hear SIGTERM keep what they are at."""
        deadline = time.monotonic() + self._grace
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0))

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Found]]:
        """Yields the place of a task and what it gave, in the order they are finished.

        Raises:
            HwsearchError: What a task raised, or if processes die again and again.
        """
        waiting, left = deque(enumerate(tasks)), len(tasks)
        while left:
            self._hand_out(waiting)
            for worker in self._heard():
                try:
                    news = worker.link.recv()
                except (EOFError, OSError):
                    for given_up in self._bury(worker, waiting):
                        left -= 1
                        yield given_up
                    continue
                if isinstance(news, Exception):
                    raise news
                if news == _READY:
                    worker.ready = True
                    self._deaths.pop(None, None)
                elif worker.task is not None:
                    place, worker.task = worker.task[0], None
                    left -= 1
                    yield place, news

    def _hand_out(self, waiting: deque[tuple[int, Task]]) -> None:
        """Gives every idle process a task, and starts more processes if there are not enough."""
        for worker in list(self._workers):
            if waiting and worker.ready and worker.task is None:
                worker.task = waiting.popleft()
                try:
                    worker.link.send(worker.task[1])
                except OSError:  # it died before
                    waiting.appendleft(worker.task)
                    worker.task = None
        coming = sum(not worker.ready for worker in self._workers)
        more = min(self._processes - len(self._workers), len(waiting) - coming)
        self._workers += [_Worker.start(self._opened) for _ in range(more)]

    def _heard(self) -> list[_Worker]:
        heard = wait([worker.link for worker in self._workers])
        return [worker for worker in self._workers if worker.link in heard]

    def _bury(
        self, worker: _Worker, waiting: deque[tuple[int, Task]]
    ) -> Iterator[tuple[int, Found]]:
        """Removes a dead process; what it was at is the next to be done, or is given up."""
        self._workers.remove(worker)
        worker.process.join(_LAST_SECONDS)
        how = worker.end()
        if worker.task is None and worker.ready:
            return
        place, task = worker.task or (0, None)
        self._deaths[task] += 1
        if self._deaths[task] < MOST_DEATHS:
            waiting.extendleft([worker.task] if worker.task else [])
            return
        doing = "starting" if task is None else f"{self._doing} {task}"
        what = f"{MOST_DEATHS} processes ended while {doing}, the last by {how}"
        if task is None or self._lost is None:
            fix = f"If memory is short, {self._smaller}; the same command repeats nothing that is "
            raise HwsearchError(what, fix=f"{fix}done")
        yield place, self._lost(task, what)


def _serve(link: Connection, opened: Callable[[], Callable[[Any], Any]]) -> None:
    """What a process does: opens what it needs, then does what it is sent until the link ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too and ends this one
    end_with_parent()
    try:
        do = opened()
        link.send(_READY)
        for task in _sent(link):
            link.send(do(task))
    except HwsearchError as error:
        link.send(error)
    except Exception as error:
        error.add_note(f"In another process:\n{traceback.format_exc()}")
        link.send(error)


def _sent(link: Connection) -> Iterator[Any]:
    while True:
        try:
            yield link.recv()
        except EOFError:
            return
