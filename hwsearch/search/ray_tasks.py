"""Tasks of a Ray cluster: Ray places them and gives those of lost workers anew.

Every machine needs this hwsearch and, at the same paths, what a search or a study reads and writes.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic

from hwsearch.device import usable_cores
from hwsearch.errors import HwsearchError
from hwsearch.search.pool import Found, Task

RETRIES = 3
"""How often Ray gives a task to another worker after its own has died."""

_CONNECT_SECONDS = 5.0

_STORE_BYTES = 100 << 20
"""Memory that a cluster started here sets aside for objects; a task returns little."""


class RayTasks(Generic[Task, Found]):
    """Does tasks on a Ray cluster. Used as a context, which lets the cluster go.

    Args:
        opened: Gives a worker what does a task, which it keeps; hashable.
        address: Of the cluster; "local" starts one here.
        processes: CPUs of one that is started here; by default all.
        doing: What is done with a task, in words.
        smaller: What helps if memory is short.
        lost: From a task that workers died of, and how they did, to what stands for its result;
            without it that is an error.

    Raises:
        HwsearchError: If Ray is not installed or the cluster cannot be reached.
    """

    def __init__(
        self,
        opened: Callable[[], Callable[[Task], Found]],
        address: str,
        processes: int | None = None,
        *,
        doing: str = "score subnet",
        smaller: str = "try a smaller --max-images",
        lost: Callable[[Task, str], Found] | None = None,
    ) -> None:
        self._ray = _import_ray()
        self._opened = opened
        self._doing, self._smaller, self._lost = doing, smaller, lost
        own: dict[str, Any] = {
            "num_cpus": processes or usable_cores(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
        settings = own if address == "local" else {}
        _check_reachable(address)
        try:
            self._ray.init(address, log_to_driver=False, logging_level="ERROR", **settings)
        except (ConnectionError, RuntimeError, ValueError) as cause:
            raise _no_cluster(address, cause) from cause
        self._task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_done)

    def __enter__(self) -> "RayTasks[Task, Found]":
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Found]]:
        """Yields the place of a task and what it gave, in the order they are finished.

        Raises:
            HwsearchError: What a task raised, or if workers die of one again and again.
        """
        places = {self._task.remote(self._opened, task): n for n, task in enumerate(tasks)}
        while places:
            (done, *_), _ = self._ray.wait(list(places))
            place = places.pop(done)
            yield place, self._result(done, tasks[place])

    def _result(self, done: Any, task: Task) -> Found:  # noqa: ANN401
        errors = self._ray.exceptions
        try:
            found = self._ray.get(done)
        except errors.RayError as cause:
            if isinstance(cause, errors.RayTaskError) and not isinstance(
                cause, errors.RaySystemError
            ):
                raise  # a slip in this program, with the worker's own traceback
            what = f"Ray could not {self._doing} {task}: {str(cause).strip().splitlines()[-1]}"
            if self._lost is not None:
                return self._lost(task, what)
            raise HwsearchError(
                what,
                fix=f"All its machines need this hwsearch, and memory: {self._smaller}; "
                "the same command repeats nothing that is done",
            ) from cause
        if isinstance(found, HwsearchError):
            raise found
        return found


def _done(opened: Callable[[], Callable[[Task], Found]], task: Task) -> Found | HwsearchError:
    """The task: any worker may do it, again too, and gives the same."""
    try:
        return _kept(opened)(task)
    except HwsearchError as error:
        return error


@lru_cache(maxsize=1)
def _kept(opened: Callable[[], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    return opened()


def _check_reachable(address: str) -> None:
    """Refuses an address where nobody listens, which Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:  # a word of Ray's, such as "auto"
        return
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as cause:
        raise _no_cluster(address, cause) from cause


def _no_cluster(address: str, cause: Exception) -> HwsearchError:
    return HwsearchError(
        f"no Ray cluster at --ray {address}: {cause}",
        fix="Start one with 'ray start --head' and give its address, or use --ray local",
    )


def _import_ray() -> Any:  # noqa: ANN401
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as cause:
        raise HwsearchError(
            "--ray needs Ray, which is not installed", fix="Run pip install 'hwsearch[ray]'"
        ) from cause
    return ray
