"""The searcher: NSGA-II over codes, for one expensive distance and cheap latencies."""

from collections.abc import Iterator, Sequence

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.survival import Survival
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from hwsearch.search.objectives import Objective
from hwsearch.space import Space

POOL = 4096
"""Random networks that the first population is picked from."""


def pareto_search(
    space: Space,
    distance: Objective,
    latencies: Sequence[Objective],
    *,
    evaluations: int,
    population: int = 16,
    seed: int = 0,
) -> np.ndarray:
    """Searches for networks that are close to the teacher and fast on every device.

    A grid no larger than the budget is enumerated. Otherwise NSGA-II (IEEE TEC 6(2), 2002)
    minimises the distance and the log-latency; with several devices a network is as good
    as its best rank among them, because each device gets a front of its own. The first
    population holds the smallest and the largest network and others spread evenly over
    log-latency. The distance is asked for once per distinct network, and the order
    depends on the seed, the population and the answers but not on the budget: replaying a
    search with remembered answers repeats it exactly, and a larger budget continues it.

    Args:
        space: Where to search.
        distance: Expensive objective, asked for the new networks of one generation.
        latencies: Objectives in milliseconds, one for each device; cheap.
        evaluations: How many distinct networks to evaluate.
        population: Networks per generation.
        seed: Of every random choice.

    Returns:
        Codes of the evaluated networks in the order of evaluation, int[N, D].
    """
    if space.size <= evaluations:
        codes = _distinct(_canonical(space, space.all_codes()))
        distance(codes)
        return codes

    def objectives(codes: np.ndarray) -> np.ndarray:
        return np.column_stack([distance(codes), *(np.log(ms(codes)) for ms in latencies)])

    batches: list[np.ndarray] = []
    left = evaluations
    for batch, offspring in _generations(space, latencies, population, seed):
        batches.append(batch[:left])
        points = objectives(batches[-1])
        left -= len(points)
        if not left:
            break
        offspring.set("F", points)
    return np.concatenate(batches)


def _generations(
    space: Space, latencies: Sequence[Objective], population: int, seed: int
) -> Iterator[tuple[np.ndarray, Population]]:
    """Yields the codes of each generation; the caller sets "F" on its population."""
    rng = np.random.default_rng(seed)
    new_only = _NewOnly()
    algorithm = NSGA2(
        pop_size=population,
        sampling=_first_population(space, latencies, population, rng),  # pyright: ignore[reportArgumentType]
        crossover=SBX(eta=3, prob=1.0),
        mutation=PM(eta=3, prob=1.0),
        survival=_AnyFront(),  # pyright: ignore[reportArgumentType]
        repair=_OnGrid(space),
        eliminate_duplicates=new_only,
    )
    algorithm.tournament_type = "comp_by_rank_and_crowding"
    top = np.array(space.shape, dtype=float) - 1
    problem = Problem(n_var=len(top), n_obj=1 + len(latencies), xl=np.zeros_like(top), xu=top)
    algorithm.setup(problem, seed=seed, termination=("n_gen", np.inf))
    while True:
        offspring = algorithm.ask()
        if offspring is None:
            offspring = _unseen(space, new_only.seen, population, rng)
            if not len(offspring):
                return
        codes = _codes(offspring)
        new_only.seen.update(map(tuple, codes.tolist()))
        yield codes, offspring
        algorithm.tell(infills=offspring)


def _first_population(
    space: Space, latencies: Sequence[Objective], population: int, rng: np.random.Generator
) -> np.ndarray:
    """Picks the smallest, the largest and networks spread evenly over log-latency."""
    top = np.array(space.shape) - 1
    pool = rng.binomial(top, rng.random((POOL, 1)))
    pool = _canonical(space, _distinct(np.vstack([np.zeros_like(top), top, pool])))
    size = np.mean([np.log(ms(pool)) for ms in latencies], axis=0)
    picked = [0, 1]
    for target in np.linspace(size[0], size[1], population)[1:-1]:
        gap = np.abs(size - target)
        gap[picked] = np.inf
        picked.append(int(np.argmin(gap)))
    return pool[picked[:population]]


def _codes(population: Population) -> np.ndarray:
    return np.asarray(population.get("X"), dtype=int)


def _canonical(space: Space, codes: np.ndarray) -> np.ndarray:
    """Replaces each code by its representative, int[N, D]."""
    return np.array([space.encode(space.canonical(space.decode(code))) for code in codes])


def _distinct(codes: np.ndarray) -> np.ndarray:
    """Drops repeated codes and keeps the order, int[n, D]."""
    return codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]


def _unseen(
    space: Space, seen: set[tuple[int, ...]], count: int, rng: np.random.Generator
) -> Population:
    """Draws networks that nobody has asked for, when crossing finds no new one."""
    codes = _distinct(_canonical(space, space.pool(rng)))
    fresh = [code for code in codes.tolist() if tuple(code) not in seen]
    picked = rng.permutation(len(fresh))[:count]
    return Population.new(X=np.array([fresh[i] for i in picked], dtype=float))


class _OnGrid(Repair):
    """Rounds offspring to codes and replaces each by its representative."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def _do(self, problem: Problem, X: np.ndarray, **_: object) -> np.ndarray:
        return _canonical(self.space, np.rint(X).astype(int))


class _AnyFront(Survival):
    """Keeps the networks that rank best for at least one device, crowded ones last."""

    def __init__(self) -> None:
        super().__init__(filter_infeasible=False)

    def _do(
        self, problem: Problem, pop: Population, *_: object, n_survive: int, **__: object
    ) -> Population:
        points = np.asarray(pop.get("F"), dtype=float)
        devices = [_rank_and_crowding(points[:, [0, t]]) for t in range(1, problem.n_obj)]
        ranks, crowding = (np.array(values) for values in zip(*devices, strict=True))
        rank = ranks.min(axis=0)
        space_around = np.where(ranks == rank, crowding, 0.0).max(axis=0)
        pop.set("rank", rank)
        pop.set("crowding", space_around)
        kept = np.lexsort((-space_around, rank))[:n_survive]
        return pop[kept]  # pyright: ignore[reportReturnType]


def _rank_and_crowding(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rank, crowding = np.zeros(len(points), dtype=int), np.zeros(len(points))
    for number, front in enumerate(NonDominatedSorting().do(points)):
        rank[front] = number
        crowding[front] = calc_crowding_distance(points[front])
    return rank, crowding


class _NewOnly(DuplicateElimination):
    """Drops offspring that were seen in any generation or earlier in the same one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def _do(
        self, pop: Population, other: Population | None, is_duplicate: np.ndarray
    ) -> np.ndarray:
        taken = set() if other is None else set(map(tuple, _codes(other).tolist()))
        for index, code in enumerate(map(tuple, _codes(pop).tolist())):
            is_duplicate[index] |= code in self.seen or code in taken
            if other is None:
                taken.add(code)
        return is_duplicate
