"""The searcher: asks for the networks that promise most, for one dear distance and known latencies.

Latency is known and cheap, so the only question about a network is its distance. A surrogate of
it, fitted again as answers come, tells by how much each network is expected to enlarge the front of
each device; the networks of a batch are chosen one after another, each as if the ones before it
had given what is expected of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.search.candidates import (
    ENUMERATED,
    all_networks,
    distinct,
    likely_networks,
    some_networks,
)
from hwsearch.search.gain import Front
from hwsearch.search.goal import Goal, allowed, require_numbers
from hwsearch.search.pareto import pareto_front
from hwsearch.search.sight import Archive, Sight
from hwsearch.search.surrogate import Surrogate
from hwsearch.space import Space

FIRST = 10
"""Networks that are evaluated before anything is believed."""

_SHORTLIST = 256
"""Networks of the greatest gain that a batch is chosen from."""

_REFIT_SHARE = 0.1
"""Hyperparameters are fitted again when the answers have grown by this share."""


@dataclass(frozen=True)
class _Told:
    """What has been asked for and answered."""

    codes: np.ndarray
    distance: np.ndarray

    def joined(self, codes: np.ndarray, distance: np.ndarray) -> "_Told":
        """Returns these answers and then those."""
        return _Told(np.concatenate([self.codes, codes]), np.concatenate([self.distance, distance]))


class Searcher:
    """Proposes networks, by ask and tell.

    Equal seeds and answers give equal proposals, so a search is repeated by telling it the same.

    Args:
        space: Where to search.
        goals: One for each device; a network that no device allows is never asked for.
        batch: Networks asked for at a time.
        seed: Of every random choice.
        most_distance: Distance above which no network is of interest.
        first: Networks to begin with, beside others, if they keep the limits, int[n, D].
        earlier: What other searches of the space have found. Their distances are never mixed with
            the new ones, but are a hint at them.

    Attributes:
        expected_gain: By how much the last proposal was expected to enlarge the fronts, as a share
            of what they cover; infinite before anything is believed.

    Raises:
        HwsearchError: If no network is allowed, or a cost is not a finite number.
    """

    def __init__(
        self,
        space: Space,
        goals: Sequence[Goal],
        *,
        batch: int = 4,
        seed: int = 0,
        most_distance: float = np.inf,
        first: np.ndarray | None = None,
        earlier: Sequence[Archive] = (),
    ) -> None:
        self.space, self.batch, self.seed = space, batch, seed
        self.goals = tuple(goal.tabulated(space) for goal in goals)
        self.most_distance, self.expected_gain = most_distance, np.inf
        self._told = _Told(np.empty((0, len(space.dims)), dtype=int), np.empty(0))
        self._begin = self._told.codes if first is None else first
        self._asked: set[tuple[int, ...]] = set()
        self._surrogate: Surrogate | None = None
        self._fitted = 0
        self._all = all_networks(space, self.goals) if space.size <= ENUMERATED else None
        rng = np.random.default_rng(seed)
        self._pool = some_networks(space, self.goals, rng) if self._all is None else self._all
        if not len(self._pool):
            raise HwsearchError("no network keeps the limits", fix="Relax them")
        self._sight = Sight(space, self.goals, self._pool, earlier)
        costs = [goal.cost(self._pool)[goal.allows(self._pool)] for goal in self.goals]
        self._ranges = [(cost.min(initial=np.inf), cost.max(initial=-np.inf)) for cost in costs]

    def ask(self) -> np.ndarray:
        """Returns networks to be evaluated next, int[n, D]; none if there are no others."""
        if not self._asked:
            proposal = self._first()
        elif len(self._told.codes) < 2:
            proposal = self._unasked(self._pool)[: self.batch]
        else:
            proposal = self._promising()
        self._asked.update(map(tuple, proposal.tolist()))
        return proposal

    def tell(self, codes: np.ndarray, distance: np.ndarray) -> None:
        """Takes distances float[n] of networks int[n, D], proposed or not.

        Raises:
            HwsearchError: If a distance is not a finite number.
        """
        require_numbers(self.space, codes, distance, "distance")
        self._asked.update(map(tuple, codes.tolist()))
        self._told = self._told.joined(codes, distance)

    def _first(self) -> np.ndarray:
        """Picks the smallest, the largest and networks spread evenly over the mean cost.

        After earlier searches they are picked from what is best by those.
        """
        size = np.mean([goal.cost(self._pool) for goal in self.goals], axis=0)
        away = np.zeros(len(size))
        if self._sight.beliefs:
            hinted = self._sight.inputs(self._pool).hints.mean(axis=1)
            away[~pareto_front(np.column_stack([size, hinted]))] = np.ptp(size)
        places = np.arange(1, FIRST - 1)
        rng = np.random.default_rng((self.seed, 0))
        places = (places + rng.uniform(-0.5, 0.5, len(places))) / (FIRST - 1)
        picked: list[int] = []
        for target in size.min() + np.ptp(size) * places:
            gap = np.abs(size - target) + away
            gap[picked] = np.inf
            picked.append(int(np.argmin(gap)))
        begin = self._begin[allowed(self.goals, self._begin)]
        return distinct(np.concatenate([self._ends(size), begin, self._pool[picked]]))

    def _ends(self, size: np.ndarray) -> np.ndarray:
        """The smallest and the largest network that are allowed, int[2, D].

        Where choices have no order, or one of the two is not allowed, cost tells.
        """
        top = np.array(self.space.shape) - 1
        ends = self.space.canonical_codes(np.stack([np.zeros_like(top), top]))
        ordered = not any(isinstance(dim.choices[0], str) for dim in self.space.dims)
        kept = allowed(self.goals, ends) & ordered
        return np.where(kept[:, None], ends, self._pool[[np.argmin(size), np.argmax(size)]])

    def _promising(self) -> np.ndarray:
        surrogate = self._believed()
        found = self._candidates(surrogate)
        if not len(found):
            return found
        fronts = self._fronts(self._told)
        gains = self._gains(found, surrogate, fronts)
        listed = found[np.argsort(-gains, kind="stable")[:_SHORTLIST]]
        picked: list[int] = []
        self.expected_gain = 0.0
        told = self._told
        for _ in range(min(self.batch, len(listed))):
            gains = self._gains(listed, surrogate, fronts)
            gains[picked] = -np.inf
            best = int(np.argmax(gains))
            picked.append(best)
            self.expected_gain += float(gains[best])
            one = listed[[best]]
            seen = self._sight.inputs(one)
            believed = surrogate.median(seen)
            surrogate, told = surrogate.told(seen, believed), told.joined(one, believed)
            fronts = self._fronts(told)
        return listed[picked]

    def _believed(self) -> Surrogate:
        """Fits the surrogate to all answers; hyperparameters only if there are many new ones."""
        inputs, count = self._sight.inputs(self._told.codes), len(self._told.codes)
        known, distance = self._surrogate, self._told.distance
        if known and known.covers(distance) and count < self._fitted * (1 + _REFIT_SHARE):
            return known.over(inputs, distance)
        self._surrogate, self._fitted = Surrogate.fit(inputs, distance, known), count
        return self._surrogate

    def _candidates(self, surrogate: Surrogate) -> np.ndarray:
        if self._all is not None:
            return self._unasked(self._all)
        rng = np.random.default_rng((self.seed, len(self._told.codes)))
        best = np.any([self._on_front(goal) for goal in self.goals], axis=0)
        found = likely_networks(
            self.space,
            lambda codes: surrogate.median(self._sight.inputs(codes)),
            self.goals,
            self._told.codes[best],
            rng,
        )
        return self._unasked(found)

    def _on_front(self, goal: Goal) -> np.ndarray:
        told = self._told
        cost = np.where(goal.allows(told.codes), goal.cost(told.codes), np.inf)
        return pareto_front(np.column_stack([cost, told.distance])) & (cost < np.inf)

    def _fronts(self, told: _Told) -> list[Front]:
        worst, found = min(float(told.distance.max()), self.most_distance), []
        for goal, (_, limit) in zip(self.goals, self._ranges, strict=True):
            kept = goal.allows(told.codes)
            cost, distance = goal.cost(told.codes)[kept], told.distance[kept]
            found.append(Front.of(cost, distance, limit, worst))
        return found

    def _gains(
        self, codes: np.ndarray, surrogate: Surrogate, fronts: Sequence[Front]
    ) -> np.ndarray:
        """Expected growth of all fronts, each as a share of what it covers, float[N]."""
        mean, spread = surrogate.predict(self._sight.inputs(codes))
        shares = []
        for goal, front, (least, _) in zip(self.goals, fronts, self._ranges, strict=True):
            gain = front.expected_gain(goal.cost(codes), mean, spread, surrogate.offset)
            shares.append(goal.allows(codes) * gain / max(front.volume(least), 1e-12))
        return np.mean(shares, axis=0)

    def _unasked(self, codes: np.ndarray) -> np.ndarray:
        return codes[[tuple(code) not in self._asked for code in codes.tolist()]]
