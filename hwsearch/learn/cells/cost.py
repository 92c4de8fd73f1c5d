"""What a search over cells costs, beside training the found network on as many images."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from hwsearch.learn.cells.session import CellSession
from hwsearch.selfsup.base import Views
from hwsearch.train.session import Session
from hwsearch.train.trainer import StepResult

STEPS = 6
"""Steps that are taken: the first tells the memory, the others the time."""


@dataclass
class Watch:
    """Tells what single steps take.

    Attributes:
        seconds: Of each step after the first, without loading and augmentation.
        kept_mb: Most that the first kept at once for its backward passes, weights included.
    """

    seconds: list[float] = field(default_factory=list)
    kept_mb: float = 0.0

    def __call__(self, step: Callable[[Views], StepResult], views: Views) -> StepResult:
        """Takes a step."""
        if not self.kept_mb:
            kept = _Kept()
            with torch.autograd.graph.saved_tensors_hooks(kept.hold, _Held.tensor_of):
                result = step(views)
            self.kept_mb = kept.most_bytes / 1e6
            return result
        began = time.perf_counter()
        result = step(views)
        self.seconds.append(time.perf_counter() - began)
        return result


class _Kept:
    """Counts the bytes of all storages that graphs hold."""

    def __init__(self) -> None:
        self.bytes = self.most_bytes = 0
        self._holders = Counter[int]()

    def hold(self, x: Tensor) -> "_Held":
        """Notes a tensor that a graph keeps."""
        return _Held(x.detach(), self)

    def change(self, x: Tensor, count: int) -> None:
        """Notes that a storage has more holders, or fewer."""
        storage = x.untyped_storage()
        place, before = storage.data_ptr(), self._holders[storage.data_ptr()]
        self._holders[place] += count
        self.bytes += storage.nbytes() * ((before + count > 0) - (before > 0))
        self.most_bytes = max(self.most_bytes, self.bytes)


class _Held:
    def __init__(self, x: Tensor, kept: _Kept) -> None:
        self._x, self._kept = x, kept
        kept.change(x, 1)

    def tensor_of(self) -> Tensor:
        return self._x

    def __del__(self) -> None:
        self._kept.change(self._x, -1)


class WatchedSearch(CellSession):
    """A search whose steps are watched."""

    watch: Watch

    def _step(self, views: Views) -> StepResult:
        return self.watch(super()._step, views)


class WatchedSession(Session):
    """Training whose steps are watched."""

    watch: Watch

    def _step(self, views: Views) -> StepResult:
        return self.watch(super()._step, views)


def compare(search: WatchedSearch, alone: WatchedSession) -> dict[str, float]:
    """Takes the steps of both, which log and keep nothing, on the same images.

    Args:
        search: A search of `STEPS` steps.
        alone: As many steps of the found network.

    Returns:
        Medians of both and their ratios, by name.
    """
    found: dict[str, float] = {}
    for name, session in (("search", search), ("alone", alone)):
        session.watch = Watch()
        session.restore(None)
        session.train()
        found[f"{name}_step_seconds"] = median(session.watch.seconds)
        found[f"{name}_kept_mb"] = session.watch.kept_mb
    found["time_ratio"] = found["search_step_seconds"] / found["alone_step_seconds"]
    found["memory_ratio"] = found["search_kept_mb"] / found["alone_kept_mb"]
    return found
