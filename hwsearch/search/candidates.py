"""Where a search looks for its next networks: all of a small space, likely ones of a large one."""

from collections.abc import Callable, Sequence

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

from hwsearch.search.objectives import Objective
from hwsearch.space import Space

ENUMERATED = 8192
"""Spaces up to this size are looked at whole."""

_DRAWN, _GENERATIONS, _POPULATION = 2048, 5, 48


def all_networks(space: Space) -> np.ndarray:
    """Returns every distinct network of a space, int[N, D]."""
    return distinct(canonical(space, space.all_codes()))


def likely_networks(
    space: Space,
    distance: Objective,
    costs: Sequence[Objective],
    known: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns networks of all sizes, and those that NSGA-II finds by a cheap distance.

    Args:
        space: Where to look.
        distance: What the surrogate believes; cheap.
        costs: Latency on each device, or its logarithm.
        known: Codes to start from, such as those of the front, int[n, D].
        rng: Where chance comes from.

    Returns:
        int[N, D], without those in `known`.
    """
    top = np.array(space.shape) - 1
    drawn = rng.binomial(top, rng.random((_DRAWN, 1)))
    near = np.concatenate([known + step for step in _steps(len(top))]).clip(0, top)
    start = np.concatenate([known, rng.permutation(drawn)])[:_POPULATION]
    evolved = _evolve(
        space, lambda codes: [distance(codes), *(cost(codes) for cost in costs)], start, rng
    )
    found = distinct(canonical(space, np.concatenate([drawn, near, evolved])))
    seen = set(map(tuple, known.tolist()))
    return found[[tuple(code) not in seen for code in found.tolist()]]


def _steps(dims: int) -> np.ndarray:
    """One step up or down in each dimension, int[2·D, D]."""
    return np.concatenate([np.eye(dims, dtype=int), -np.eye(dims, dtype=int)])


def _evolve(
    space: Space,
    objectives: Callable[[np.ndarray], list[np.ndarray]],
    start: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns all networks that a short NSGA-II (IEEE TEC 6(2), 2002) looks at, int[N, D]."""
    looked_at: list[np.ndarray] = []

    class Cheap(Problem):
        def _evaluate(self, x: np.ndarray, out: dict, *_: object, **__: object) -> None:
            looked_at.append(x.astype(int))
            out["F"] = np.column_stack(objectives(looked_at[-1]))

    top = np.array(space.shape) - 1
    columns = len(objectives(start[:1]))
    problem = Cheap(n_var=len(top), n_obj=columns, xl=np.zeros_like(top), xu=top, vtype=int)
    algorithm = NSGA2(
        pop_size=_POPULATION,
        sampling=start,  # pyright: ignore[reportArgumentType]
        crossover=UniformCrossover(),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    )
    minimize(problem, algorithm, ("n_gen", _GENERATIONS), seed=int(rng.integers(2**31)))
    return np.concatenate(looked_at)


def canonical(space: Space, codes: np.ndarray) -> np.ndarray:
    """Replaces each code by its representative, int[N, D]."""
    if type(space).canonical is Space.canonical:
        return codes
    return np.array([space.encode(space.canonical(space.decode(code))) for code in codes])


def distinct(codes: np.ndarray) -> np.ndarray:
    """Drops repeated codes and keeps the order, int[n, D]."""
    return codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]
