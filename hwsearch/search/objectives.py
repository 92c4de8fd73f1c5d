"""What a search minimises, and the distance that a journal remembers."""

from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.space import Space, Subnet

if TYPE_CHECKING:
    from hwsearch.distance import Estimate

Objective = Callable[[np.ndarray], np.ndarray]
"""From codes int[N, D] to float[N], lower is better."""


class RememberedDistance:
    """The distance as an objective that a journal remembers.

    A subnet found in the journal is never evaluated again; every new evaluation is in
    the journal, with the predicted latencies, before the next one starts.

    Args:
        space: Space of the codes.
        journal: Where evaluations are kept.
        distance: From a subnet to its teacher distance, lower is better.
        latencies: Predicted milliseconds, by name of the table.
        advance: Called after each new evaluation.
        early_stop: The same distance with a limit above which a network is hopeless: another
            one is closer and no slower on any device. What the journal then holds is an estimate.
    """

    def __init__(
        self,
        space: Space,
        journal: Journal,
        distance: Callable[[Subnet], float],
        latencies: Mapping[str, Objective],
        advance: Callable[..., None],
        *,
        early_stop: "Callable[[Subnet, float], Estimate] | None" = None,
    ) -> None:
        self.space, self.journal, self.distance = space, journal, distance
        self.latencies, self.advance = latencies, advance
        self.early_stop = early_stop
        self.known = {
            str(space.subnet(**row["subnet"])): float(row["distance"]) for row in journal.rows
        }

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Returns the distances of codes int[N, D], float[N].

        Raises:
            HwsearchError: If a distance is not a finite number.
        """
        latency_ms = {name: objective(codes) for name, objective in self.latencies.items()}
        for index, code in enumerate(codes):
            subnet = self.space.decode(code)
            if str(subnet) not in self.known:
                predicted = {name: float(ms[index]) for name, ms in latency_ms.items()}
                self._evaluate(subnet, predicted)
        return np.array([self.known[str(self.space.decode(code))] for code in codes])

    def _evaluate(self, subnet: Subnet, latency_ms: Mapping[str, float]) -> None:
        row: dict[str, Any] = {"subnet": subnet.as_dict()}
        if self.early_stop is None:
            distance = float(self.distance(subnet))
        else:
            estimate = self.early_stop(subnet, self._limit(latency_ms))
            distance, row["images"] = estimate.value, estimate.images
        if not np.isfinite(distance):
            raise HwsearchError(
                f"the teacher distance of subnet {subnet} is {distance}",
                fix="Check its weights and those of the teacher; training may have diverged",
            )
        self.journal.append(row | {"distance": distance, "latency_ms": latency_ms})
        self.known[str(subnet)] = distance
        self.advance(note=f"distance {distance:.4f}")

    def _limit(self, latency_ms: Mapping[str, float]) -> float:
        """Returns the distance above which a network is on no front."""
        rows = self.journal.rows
        return max(
            min((row["distance"] for row in rows if row["latency_ms"][name] <= ms), default=inf)
            for name, ms in latency_ms.items()
        )
