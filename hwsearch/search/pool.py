"""A pool of processes that score subnets; one that is killed loses nothing but what it was at."""

import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from hwsearch.errors import HwsearchError
from hwsearch.profiling.parallel import end_with_parent
from hwsearch.space import Subnet

Distance = Callable[[Subnet], float]

MOST_DEATHS = 2
"""Processes that may die of one subnet, or in turn while they start, before the search ends."""

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
        task: Place and subnet that it scores, or None.
        ready: Whether it has opened what it needs.
    """

    process: SpawnProcess
    link: Connection
    task: tuple[int, Subnet] | None = None
    ready: bool = False

    @classmethod
    def start(cls, opened: Callable[[], Distance]) -> "_Worker":
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


class Pool:
    """Scores subnets in processes that open once what they need.

    A dead process is replaced, and its subnet given to another one. Used as a context, which ends
    the processes at once: they keep nothing.

    Args:
        opened: Gives a process the distance; importable by it.
        processes: Most processes.
    """

    def __init__(self, opened: Callable[[], Distance], processes: int) -> None:
        self._opened, self._processes = opened, processes
        self._workers: list[_Worker] = []
        self._deaths: Counter[Subnet | None] = Counter()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def __call__(self, subnets: Sequence[Subnet]) -> Iterator[tuple[int, float]]:
        """Yields a place among the subnets and its distance, in the order they are finished.

        Raises:
            HwsearchError: What a distance raised, or if processes die again and again.
        """
        waiting, left = deque(enumerate(subnets)), len(subnets)
        while left:
            self._hand_out(waiting)
            for worker in self._heard():
                try:
                    news = worker.link.recv()
                except (EOFError, OSError):
                    self._bury(worker, waiting)
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

    def _hand_out(self, waiting: deque[tuple[int, Subnet]]) -> None:
        """Gives every idle process a subnet, and starts more processes if there are not enough."""
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

    def _bury(self, worker: _Worker, waiting: deque[tuple[int, Subnet]]) -> None:
        """Removes a dead process; what it was at is the next to be done."""
        self._workers.remove(worker)
        worker.process.join(_LAST_SECONDS)
        how = worker.end()
        if worker.task is None and worker.ready:
            return
        subnet = None
        if worker.task is not None:
            waiting.appendleft(worker.task)
            subnet = worker.task[1]
        self._deaths[subnet] += 1
        if self._deaths[subnet] >= MOST_DEATHS:
            doing = f"scoring subnet {subnet}" if subnet else "starting"
            raise HwsearchError(
                f"{MOST_DEATHS} processes ended while {doing}, the last by {how}",
                fix="If memory is short, use fewer --processes or --max-images; "
                "the same command repeats nothing that is done",
            )


def _serve(link: Connection, opened: Callable[[], Distance]) -> None:
    """What a process does: opens what it needs, then scores what it is sent until the link ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too and ends this one
    end_with_parent()
    try:
        distance = opened()
        link.send(_READY)
        for subnet in _sent(link):
            link.send(distance(subnet))
    except HwsearchError as error:
        link.send(error)
    except Exception as error:
        error.add_note(f"In a scoring process:\n{traceback.format_exc()}")
        link.send(error)


def _sent(link: Connection) -> Iterator[Subnet]:
    while True:
        try:
            yield link.recv()
        except EOFError:
            return
