"""Subnets scored as tasks of a Ray cluster: Ray places them and gives those of lost workers anew.

Every machine needs this hwsearch and, at the same paths, what the search reads.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from hwsearch.device import usable_cores
from hwsearch.errors import HwsearchError
from hwsearch.search.pool import Distance
from hwsearch.space import Subnet

RETRIES = 3
"""How often Ray gives a task to another worker after its own has died."""

_CONNECT_SECONDS = 5.0

_STORE_BYTES = 100 << 20
"""Memory that a cluster started here sets aside for objects; a task returns one number."""


class RayTasks:
    """Scores subnets on a Ray cluster. Used as a context, which lets the cluster go.

    Args:
        opened: Gives a worker the distance, which it keeps; hashable.
        address: Of the cluster; "local" starts one here.
        processes: CPUs of one that is started here; by default all.

    Raises:
        HwsearchError: If Ray is not installed or the cluster cannot be reached.
    """

    def __init__(
        self, opened: Callable[[], Distance], address: str, processes: int | None = None
    ) -> None:
        self._ray = _import_ray()
        self._opened = opened
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
        self._task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_scored)

    def __enter__(self) -> "RayTasks":
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()

    def __call__(self, subnets: Sequence[Subnet]) -> Iterator[tuple[int, float]]:
        """Yields a place among the subnets and its distance, in the order they are finished.

        Raises:
            HwsearchError: What a distance raised, or if workers die of a subnet again and again.
        """
        places = {self._task.remote(self._opened, s): n for n, s in enumerate(subnets)}
        while places:
            (done, *_), _ = self._ray.wait(list(places))
            place = places.pop(done)
            yield place, self._result(done, subnets[place])

    def _result(self, done: Any, subnet: Subnet) -> float:  # noqa: ANN401
        errors = self._ray.exceptions
        try:
            found = self._ray.get(done)
        except errors.RayError as cause:
            if isinstance(cause, errors.RayTaskError) and not isinstance(
                cause, errors.RaySystemError
            ):
                raise  # a slip in this program, with the worker's own traceback
            raise HwsearchError(
                f"Ray could not score subnet {subnet}: {str(cause).strip().splitlines()[-1]}",
                fix="All its machines need this hwsearch, and memory: try a smaller --max-images; "
                "the same command repeats nothing that is done",
            ) from cause
        if isinstance(found, HwsearchError):
            raise found
        return found


def _scored(opened: Callable[[], Distance], subnet: Subnet) -> float | HwsearchError:
    """The task: any worker may do it, again too, and gives the same."""
    try:
        return _kept(opened)(subnet)
    except HwsearchError as error:
        return error


@lru_cache(maxsize=1)
def _kept(opened: Callable[[], Distance]) -> Distance:
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
