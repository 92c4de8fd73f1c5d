"""Exact fronts of two objectives that add up over the parts of a network, by integer programming.

A network is a choice of one combination of every part such that parts agree on the dimensions they
share. Both objectives are linear in these choices, so each point of the front is a small integer
program: the least first objective, then the least one below the second objective of that, and so
on (the ε-constraint method: Haimes, Lasdon and Wismer 1971).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from scipy.optimize import Bounds, milp
from scipy.sparse import csr_array, lil_array, vstack

from hwsearch.block import Block
from hwsearch.space import Part, Space

BlocksValue = Callable[[tuple[Block, ...]], float]
"""From the blocks of one part to what they add to an objective, lower is better."""

_RANGE, _SLACK, _TIE = 1e3, 1e-2, 1e-6
"""Objectives are scaled to this range, and points of the second one nearer than the slack are one:
solvers keep bounds to 1e-6 of a scale of their own. A tie in the first objective is broken by that
share of the second."""


@dataclass(frozen=True)
class _Program:
    """The choices of a space: first its dimensions' values, then the parts' combinations.

    Attributes:
        space: The networks.
        agree: Equations that hold for networks alone, [equations, variables].
        right: Their right-hand sides, float[equations].
    """

    space: Space
    agree: csr_array
    right: np.ndarray

    @classmethod
    def of(cls, space: Space) -> "_Program":
        """Writes the equations: one value a dimension, and parts that agree with it."""
        counts = [_count(space, part) for part in space.parts]
        starts = np.cumsum([0, *space.shape, *counts])
        dims, rows, right = len(space.dims), [], []
        for at in range(dims):
            rows.append(_ones([range(starts[at], starts[at + 1])], starts[-1]))
            right.append(1)
        for number, part in enumerate(space.parts):
            agreement = _agreement(space, part, starts, int(starts[dims + number]))
            rows.append(agreement)
            equations: int = agreement.shape[0]  # pyright: ignore[reportOptionalSubscript]
            right += [int(not part.dims)] * equations
        return cls(space, csr_array(vstack(rows)), np.array(right))

    def weights(self, value: BlocksValue) -> np.ndarray:
        """Returns what each variable adds to an objective, scaled, float[variables]."""
        parts = [[value(blocks) for blocks in self.space.combinations(p)] for p in self.space.parts]
        scale = sum(max(part) - min(part) for part in parts) or 1.0
        none = np.zeros(sum(self.space.shape))
        return np.concatenate([none, *parts]) * (_RANGE / scale)

    def total(self, weights: np.ndarray, code: np.ndarray) -> float:
        """Returns the objective of one network, scaled."""
        at, total = sum(self.space.shape), 0.0
        for part in self.space.parts:
            total += weights[at + self.space.combination_index(part, code[None])[0]]
            at += _count(self.space, part)
        return float(total)

    def least(self, weights: np.ndarray, bound: np.ndarray, most: float) -> np.ndarray | None:
        """Returns the code of the network with the least objective, int[D], if there is one.

        Args:
            weights: Of the objective.
            bound: Weights of another objective.
            most: The most that the other may be.
        """
        values = self.space.shape
        rules = [(self.agree, self.right, self.right), (bound[None], -np.inf, most)]
        found = milp(
            weights,
            constraints=rules,
            integrality=np.ones(len(weights)),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            return None
        chosen = np.split(found.x[: sum(values)], np.cumsum(values)[:-1])
        return np.array([int(np.argmax(choice)) for choice in chosen])


def _count(space: Space, part: Part) -> int:
    """How many combinations a part has."""
    return prod(len(dim.choices) for dim in space.dims if dim.name in part.dims)


def _ones(groups: Iterable[Iterable[int]], variables: int) -> lil_array:
    """Sums of variables, one group a row, [groups, variables]."""
    columns = [list(group) for group in groups]
    rows = lil_array((len(columns), variables))
    for row, group in enumerate(columns):
        rows[[row], group] = 1
    return rows


def _agreement(space: Space, part: Part, starts: np.ndarray, first: int) -> lil_array:
    """Equations that a part takes as many combinations with a value as that value is chosen.

    A part of no dimension has one combination, which is taken.
    """
    own = [at for at, dim in enumerate(space.dims) if dim.name in part.dims]
    if not own:
        return _ones([[first]], starts[-1])
    taken = np.indices([space.shape[at] for at in own]).reshape(len(own), -1)
    pairs = [(row, at, value) for row, at in enumerate(own) for value in range(space.shape[at])]
    groups = (first + np.flatnonzero(taken[row] == value) for row, _, value in pairs)
    equations = _ones(groups, starts[-1])
    for row, (_, at, value) in enumerate(pairs):
        equations[row, starts[at] + value] = -1
    return equations


def exact_front(space: Space, first: BlocksValue, second: BlocksValue) -> np.ndarray:
    """Finds the front of two objectives that add up over a network's parts.

    Args:
        space: Where to look; its size does not matter, how many combinations a part has does.
        first: Lower is better.
        second: Lower is better.

    Returns:
        Codes, int[N, D], the best by the first objective first; of equally good networks one.
    """
    program = _Program.of(space)
    one, two = program.weights(first), program.weights(second)
    found: list[np.ndarray] = []
    most = np.inf
    while (code := program.least(one + _TIE * two, two, most)) is not None:
        found.append(code)
        most = program.total(two, code) - _SLACK
    return np.array(found)
