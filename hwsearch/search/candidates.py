"""Where a search looks for its next networks: all of a small space, likely ones of a large one."""

from collections.abc import Callable, Sequence

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

from hwsearch.search.goal import Goal, allowed, least_excess
from hwsearch.search.objectives import Objective
from hwsearch.space import Space

ENUMERATED = 8192
"""Spaces up to this size are looked at whole."""

_DRAWN, _GENERATIONS, _POPULATION = 2048, 5, 48

_POOL = 4096
"""Networks of a large space that stand for all of it."""


def all_networks(space: Space, goals: Sequence[Goal] = ()) -> np.ndarray:
    """Returns every distinct network of a space that is allowed on some device, int[N, D]."""
    codes = distinct(space.canonical_codes(space.all_codes()))
    return codes[allowed(goals, codes)] if goals else codes


def some_networks(space: Space, goals: Sequence[Goal], rng: np.random.Generator) -> np.ndarray:
    """Returns distinct networks of all sizes that are allowed on some device, int[N, D]."""
    top = np.array(space.shape) - 1
    if all(goal.excess is None for goal in goals):
        drawn = rng.binomial(top, rng.random((_POOL, 1)))
    else:
        pool = space.canonical_codes(space.pool(rng))
        nearest = least(space, lambda codes: least_excess(goals, codes))[None]
        kept = np.concatenate([nearest, pool[allowed(goals, pool)]])
        drawn = kept[np.sort(rng.permutation(len(kept))[:_POOL])]
    codes = distinct(space.canonical_codes(np.vstack([np.zeros_like(top), top, drawn])))
    return codes[allowed(goals, codes)]


def least(space: Space, objective: Objective) -> np.ndarray:
    """Finds the network with the least value: surely if the space can be enumerated, int[D].

    In larger spaces the best of many drawn ones is improved step by step.
    """
    pool = space.canonical_codes(space.pool(np.random.default_rng(0)))
    top = np.array(space.shape) - 1
    best = pool[np.argmin(objective(pool))]
    while True:
        near = (best + np.vstack([np.zeros_like(top), _steps(len(top))])).clip(0, top)
        near = space.canonical_codes(near)
        found = near[np.argmin(objective(near))]
        if (found == best).all():
            return best
        best = found


def likely_networks(
    space: Space,
    distance: Objective,
    goals: Sequence[Goal],
    known: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns networks of all sizes, and those that NSGA-II finds by a cheap distance.

    Args:
        space: Where to look.
        distance: What the surrogate believes; cheap.
        goals: One for each device.
        known: Codes to start from, such as those of the front, int[n, D].
        rng: Where chance comes from.

    Returns:
        int[N, D], allowed on some device, without those in `known`.
    """
    top = np.array(space.shape) - 1
    drawn = rng.binomial(top, rng.random((_DRAWN, 1)))
    near = np.concatenate([known + step for step in _steps(len(top))]).clip(0, top)
    start = np.concatenate([known, rng.permutation(drawn)])[:_POPULATION]
    evolved = _evolve(
        space,
        lambda codes: [distance(codes), *(goal.cost(codes) for goal in goals)],
        lambda codes: least_excess(goals, codes),
        start,
        rng,
    )
    found = distinct(space.canonical_codes(np.concatenate([drawn, near, evolved])))
    seen = set(map(tuple, known.tolist()))
    found = found[[tuple(code) not in seen for code in found.tolist()]]
    return found[allowed(goals, found)]


def _steps(dims: int) -> np.ndarray:
    """One step up or down in each dimension, int[2·D, D]."""
    return np.concatenate([np.eye(dims, dtype=int), -np.eye(dims, dtype=int)])


def _evolve(
    space: Space,
    objectives: Callable[[np.ndarray], list[np.ndarray]],
    excess: Objective,
    start: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns all networks that a short NSGA-II (IEEE TEC 6(2), 2002) looks at, int[N, D]."""
    looked_at: list[np.ndarray] = []

    class Cheap(Problem):
        def _evaluate(self, x: np.ndarray, out: dict, *_: object, **__: object) -> None:
            looked_at.append(space.canonical_codes(x.astype(int)))
            out["F"] = np.column_stack(objectives(looked_at[-1]))
            out["G"] = excess(looked_at[-1])[:, None]

    top = np.array(space.shape) - 1
    columns = len(objectives(start[:1]))
    problem = Cheap(
        n_var=len(top), n_obj=columns, n_ieq_constr=1, xl=np.zeros_like(top), xu=top, vtype=int
    )
    algorithm = NSGA2(
        pop_size=_POPULATION,
        sampling=start,  # pyright: ignore[reportArgumentType]
        crossover=UniformCrossover(),  # pyright: ignore[reportArgumentType]
        mutation=PM(prob=1.0, eta=3, vtype=float, repair=RoundingRepair()),
    )
    minimize(problem, algorithm, ("n_gen", _GENERATIONS), seed=int(rng.integers(2**31)))
    return np.concatenate(looked_at)


def distinct(codes: np.ndarray) -> np.ndarray:
    """Drops repeated codes and keeps the order, int[n, D]."""
    return codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]
