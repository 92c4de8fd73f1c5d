"""What a search minimises, and the distance that a journal remembers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, Json
from hwsearch.space import Space, Subnet

if TYPE_CHECKING:
    from hwsearch.distance import Estimate

Objective = Callable[[np.ndarray], np.ndarray]
"""From codes int[N, D] to float[N], lower is better."""

Score = Callable[[Sequence[Subnet]], Iterator[tuple[int, float]]]
"""From subnets to pairs of a place among them and its distance, in the order they are finished."""


@dataclass(frozen=True)
class EarlyStop:
    """When a network need not be looked at any further: another one is closer and no slower.

    It is one and the same on all tables, so the network is not the best for a fleet either.

    Attributes:
        estimate: The distance of one network as far as images tell before it is surely above a
            limit.
        excess: By how much networks miss the limits of each table; kept if ≤ 0.
    """

    estimate: Callable[[Subnet, float], "Estimate"]
    excess: Mapping[str, Objective]

    def limit(
        self, space: Space, rows: Sequence[Json], subnet: Subnet, latency_ms: Mapping[str, float]
    ) -> float:
        """Returns the distance above which a network is of no use on any table.

        Args:
            space: Of the networks.
            rows: Evaluations; those that keep a table's limits may be better there.
            subnet: The network.
            latency_ms: Its predicted milliseconds, by name of the table.
        """
        evaluated = [space.subnet(**row["subnet"]) for row in rows]
        codes = np.array([space.encode(one) for one in (subnet, *evaluated)])
        kept = {name: self.excess[name](codes) <= 0 for name in latency_ms}
        tables = [name for name in latency_ms if kept[name][0]]
        ahead = [
            row["distance"]
            for at, row in enumerate(rows, start=1)
            if all(kept[t][at] and row["latency_ms"][t] <= latency_ms[t] for t in tables)
        ]
        return min(ahead, default=inf) if tables else inf


_AHEAD = "search-ahead"
"""Kind of the journal of results whose turn has not come."""


def one_by_one(distance: Callable[[Subnet], float]) -> Score:
    """Returns what scores subnets in this process, in their order."""

    def score(subnets: Sequence[Subnet]) -> Iterator[tuple[int, float]]:
        for place, subnet in enumerate(subnets):
            yield place, distance(subnet)

    return score


class RememberedDistance:
    """The distance as an objective that a journal remembers.

    A subnet found in the journal is never evaluated again. New evaluations are journaled in the
    order of the codes, with the predicted latencies, however many are made at once: those finished
    before their turn are kept in a second journal, which is removed when it is no longer needed.

    Args:
        space: Space of the codes.
        journal: Where evaluations are kept.
        score: Gives the distances of subnets, lower is better.
        latencies: Predicted milliseconds, by name of the table.
        advance: Called after each new evaluation.
        early_stop: The same distance with a limit above which a network is hopeless. What the
            journal then holds is an estimate.
    """

    def __init__(
        self,
        space: Space,
        journal: Journal,
        score: Score,
        latencies: Mapping[str, Objective],
        advance: Callable[..., None],
        *,
        early_stop: EarlyStop | None = None,
    ) -> None:
        self.space, self.journal, self.score = space, journal, score
        self.latencies, self.advance = latencies, advance
        self.early_stop = early_stop
        self.known = {
            str(space.subnet(**row["subnet"])): float(row["distance"]) for row in journal.rows
        }
        self._looked: dict[str, Json] = {}
        self._early = Journal.open(journal.path.with_suffix(".ahead.jsonl"), _AHEAD, journal.header)
        self._ahead: dict[str, float] = {row["subnet"]: row["distance"] for row in self._early}

    def __enter__(self) -> "RememberedDistance":
        return self

    def __exit__(self, *error: object) -> None:
        if self._ahead.keys() <= self.known.keys():
            self._early.path.unlink(missing_ok=True)
        self._early.close()

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Returns the distances of codes int[N, D], float[N].

        Raises:
            HwsearchError: If a distance is not a finite number.
        """
        latency_ms = {name: objective(codes) for name, objective in self.latencies.items()}
        subnets = [self.space.decode(code) for code in codes]
        turns = {
            subnet: {name: float(ms[index]) for name, ms in latency_ms.items()}
            for index, subnet in enumerate(subnets)
            if str(subnet) not in self.known
        }
        missing = [subnet for subnet in turns if str(subnet) not in self._ahead]
        self._journal_in_turn(turns)
        for place, distance in self._scored(missing, turns):
            self._take(missing[place], distance, its_turn=missing[place] == next(iter(turns)))
            self._journal_in_turn(turns)
        return np.array([self.known[str(subnet)] for subnet in subnets])

    def _scored(
        self, subnets: Sequence[Subnet], turns: Mapping[Subnet, Mapping[str, float]]
    ) -> Iterator[tuple[int, float]]:
        if self.early_stop is None:
            yield from self.score(subnets)
            return
        latencies = [dict(turns[subnet]) for subnet in subnets]
        for place, (subnet, latency_ms) in enumerate(zip(subnets, latencies, strict=True)):
            limit = self.early_stop.limit(self.space, self.journal.rows, subnet, latency_ms)
            estimate = self.early_stop.estimate(subnet, limit)
            self._looked[str(subnet)] = {"images": estimate.images, "whole": estimate.whole}
            yield place, estimate.value

    def _take(self, subnet: Subnet, distance: float, *, its_turn: bool) -> None:
        """Takes a distance; one that must wait for its turn is on the disk when this returns."""
        if not np.isfinite(distance):
            raise HwsearchError(
                f"the distance of subnet {subnet} is {distance}",
                fix="Check the weights, for training may have diverged, or choose another "
                "--distance: a control may give no number for some networks",
            )
        if not its_turn:
            self._early.append({"subnet": str(subnet), "distance": distance})
        self._ahead[str(subnet)] = distance

    def _journal_in_turn(self, turns: dict[Subnet, dict[str, float]]) -> None:
        """Journals the first of those that have their distance, until one has none yet."""
        while turns and str(subnet := next(iter(turns))) in self._ahead:
            distance, latency_ms = self._ahead[str(subnet)], turns.pop(subnet)
            row = {"subnet": subnet.as_dict(), "distance": distance, "latency_ms": latency_ms}
            self.journal.append(row | self._looked.get(str(subnet), {}))
            self.known[str(subnet)] = distance
            self.advance(note=f"distance {distance:.4f}")
