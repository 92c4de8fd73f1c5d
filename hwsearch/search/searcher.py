"""The searcher: asks for the networks that promise most, for one dear distance and known latencies.

Latency is known and cheap, so the only question about a network is its distance. A surrogate of
it, fitted again as answers come, tells by how much each network is expected to enlarge the front of
each device; the networks of a batch are chosen one after another, each as if the ones before it
had given what is expected of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwsearch.search.candidates import (
    ENUMERATED,
    all_networks,
    canonical,
    distinct,
    likely_networks,
)
from hwsearch.search.gain import Front
from hwsearch.search.objectives import Objective
from hwsearch.search.pareto import pareto_front
from hwsearch.search.surrogate import Inputs, Surrogate
from hwsearch.space import Space

FIRST = 10
"""Networks that are evaluated before anything is believed."""

_POOL = 4096
"""Random networks that the first ones are picked from, and sizes are compared with."""

_SHORTLIST = 256
"""Networks of the greatest gain that a batch is chosen from."""

_REFIT_SHARE = 0.1
"""Hyperparameters are fitted again when the answers have grown by this share."""


@dataclass
class _Told:
    """What has been asked for and answered."""

    codes: np.ndarray
    distance: np.ndarray


class Searcher:
    """Proposes networks, by ask and tell.

    Equal seeds and answers give equal proposals, so a search is repeated by telling it the same.

    Args:
        space: Where to search.
        costs: For each device, latency or its logarithm; cheap, lower is better.
        batch: Networks asked for at a time.
        seed: Of every random choice.
        see: From codes int[N, D] to what may tell their distance; by default the codes, and beside
            them the logarithms of the networks' sizes, their number of blocks, and the costs.

    Attributes:
        expected_gain: By how much the last proposal was expected to enlarge the fronts, as a share
            of what they cover; infinite before anything is believed.
    """

    def __init__(
        self,
        space: Space,
        costs: Sequence[Objective],
        *,
        batch: int = 4,
        seed: int = 0,
        see: Callable[[np.ndarray], Inputs] | None = None,
    ) -> None:
        self.space, self.costs, self.batch, self.seed = space, tuple(costs), batch, seed
        self.expected_gain = np.inf
        self._see = see or self._codes_and_sizes
        self._told = _Told(np.empty((0, len(space.dims)), dtype=int), np.empty(0))
        self._asked: set[tuple[int, ...]] = set()
        self._surrogate: Surrogate | None = None
        self._fitted = 0
        rng = np.random.default_rng(seed)
        small = space.size <= ENUMERATED
        self._all = all_networks(space) if small else None
        self._pool = self._all if self._all is not None else self._some(rng)
        rows = self._see(self._pool).features
        self._mean, self._scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
        self._limits = np.array([cost(self._pool).max() for cost in self.costs])

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
        """Takes distances float[n] of networks int[n, D], proposed or not."""
        self._asked.update(map(tuple, codes.tolist()))
        told = self._told
        self._told = _Told(
            np.concatenate([told.codes, codes]), np.concatenate([told.distance, distance])
        )

    def _first(self) -> np.ndarray:
        """Picks the smallest, the largest and networks spread evenly over the mean cost."""
        size = np.mean([cost(self._pool) for cost in self.costs], axis=0)
        places = np.arange(1, FIRST - 1)
        rng = np.random.default_rng((self.seed, 0))
        places = (places + rng.uniform(-0.5, 0.5, len(places))) / (FIRST - 1)
        picked: list[int] = []
        for target in size.min() + (size.max() - size.min()) * places:
            gap = np.abs(size - target)
            gap[picked] = np.inf
            picked.append(int(np.argmin(gap)))
        return distinct(np.concatenate([self._ends(size), self._pool[picked]]))

    def _ends(self, size: np.ndarray) -> np.ndarray:
        """The smallest and the largest network; where choices have no order, by cost, int[2, D]."""
        if any(isinstance(dim.choices[0], str) for dim in self.space.dims):
            return self._pool[[np.argmin(size), np.argmax(size)]]
        top = np.array(self.space.shape) - 1
        return canonical(self.space, np.stack([np.zeros_like(top), top]))

    def _promising(self) -> np.ndarray:
        surrogate = self._believed()
        found = self._candidates(surrogate)
        if not len(found):
            return found
        fronts = self._fronts()
        gains = self._gains(found, surrogate, fronts)
        listed = found[np.argsort(-gains, kind="stable")[:_SHORTLIST]]
        picked: list[int] = []
        self.expected_gain = 0.0
        for _ in range(min(self.batch, len(listed))):
            gains = self._gains(listed, surrogate, fronts)
            gains[picked] = -np.inf
            best = int(np.argmax(gains))
            picked.append(best)
            self.expected_gain += float(gains[best])
            one = listed[[best]]
            believed = surrogate.median(self._inputs(one))
            surrogate = surrogate.told(self._inputs(one), believed)
            fronts = self._fronts(one, believed)
        return listed[picked]

    def _believed(self) -> Surrogate:
        """Fits the surrogate to all answers; hyperparameters only if there are many new ones."""
        inputs, answers = self._inputs(self._told.codes), len(self._told.codes)
        if self._surrogate is None or answers >= self._fitted * (1 + _REFIT_SHARE):
            self._surrogate = Surrogate.fit(inputs, self._told.distance, self._surrogate)
            self._fitted = answers
            return self._surrogate
        return self._surrogate.over(inputs, self._told.distance)

    def _candidates(self, surrogate: Surrogate) -> np.ndarray:
        if self._all is not None:
            return self._unasked(self._all)
        rng = np.random.default_rng((self.seed, len(self._told.codes)))
        best = np.any([self._on_front(cost(self._told.codes)) for cost in self.costs], axis=0)
        found = likely_networks(
            self.space,
            lambda codes: surrogate.median(self._inputs(codes)),
            self.costs,
            self._told.codes[best],
            rng,
        )
        return self._unasked(found)

    def _on_front(self, cost: np.ndarray) -> np.ndarray:
        return pareto_front(np.column_stack([cost, self._told.distance]))

    def _fronts(
        self, codes: np.ndarray | None = None, distance: np.ndarray | None = None
    ) -> list[Front]:
        every, answers = self._told.codes, self._told.distance
        if codes is not None and distance is not None:
            every, answers = np.concatenate([every, codes]), np.concatenate([answers, distance])
        return [
            Front.of(cost(every), answers, limit)
            for cost, limit in zip(self.costs, self._limits, strict=True)
        ]

    def _gains(
        self, codes: np.ndarray, surrogate: Surrogate, fronts: Sequence[Front]
    ) -> np.ndarray:
        """Expected growth of all fronts, each as a share of what it covers, float[N]."""
        mean, spread = surrogate.predict(self._inputs(codes))
        shares = []
        for cost, front in zip(self.costs, fronts, strict=True):
            fastest = float(cost(self._told.codes).min())
            gain = front.expected_gain(cost(codes), mean, spread, surrogate.offset)
            shares.append(gain / max(front.volume(fastest), 1e-12))
        return np.mean(shares, axis=0)

    def _unasked(self, codes: np.ndarray) -> np.ndarray:
        return codes[[tuple(code) not in self._asked for code in codes.tolist()]]

    def _inputs(self, codes: np.ndarray) -> Inputs:
        seen = self._see(codes)
        return replace(seen, features=(seen.features - self._mean) / self._scale)

    def _codes_and_sizes(self, codes: np.ndarray) -> Inputs:
        space, costs = self.space, [cost(codes) for cost in self.costs]
        logs = [np.log(np.maximum(size, 1)) for size in (space.macs(codes), space.params(codes))]
        columns = [*logs, space.block_counts(codes), *costs]
        return Inputs.of(space, codes, np.column_stack(columns))

    def _some(self, rng: np.random.Generator) -> np.ndarray:
        top = np.array(self.space.shape) - 1
        drawn = rng.binomial(top, rng.random((_POOL, 1)))
        return canonical(self.space, distinct(np.vstack([np.zeros_like(top), top, drawn])))


def pareto_search(
    space: Space,
    distance: Objective,
    latencies: Sequence[Objective],
    *,
    evaluations: int,
    batch: int = 4,
    stop_gain: float = 0.0,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """Searches for networks that are close to the teacher and fast on every device.

    A grid no larger than the budget is enumerated. The distance is asked for once per distinct
    network, and the order depends on the seed, the batch and the answers but not on the budget:
    replaying a search with remembered answers repeats it exactly, and a larger budget continues it.

    Args:
        space: Where to search.
        distance: Dear objective, asked for the networks of one batch.
        latencies: Objectives in milliseconds, one for each device; cheap.
        evaluations: How many distinct networks to evaluate.
        batch: Networks a batch.
        stop_gain: The search ends when a batch is expected to enlarge what the fronts cover by less
            than this share.
        seed: Of every random choice.

    Returns:
        Codes of the evaluated networks in the order of evaluation, int[N, D], and the share by
        which one more batch is expected to enlarge what the fronts cover.
    """
    if space.size <= evaluations:
        codes = all_networks(space)
        distance(codes)
        return codes, 0.0
    costs = [_log_of(latency) for latency in latencies]
    searcher = Searcher(space, costs, batch=batch, seed=seed)
    batches: list[np.ndarray] = []
    left = evaluations
    while len(asked := searcher.ask()) and left and searcher.expected_gain >= stop_gain:
        told = asked[:left]
        searcher.tell(told, distance(told))
        batches.append(told)
        left -= len(told)
    return np.concatenate(batches), searcher.expected_gain if len(asked) else 0.0


def _log_of(latency: Objective) -> Objective:
    return lambda codes: np.log(latency(codes))
