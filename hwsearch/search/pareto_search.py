"""A whole search: asks for networks and tells their distances until budget or gain ends it."""

from collections.abc import Sequence

import numpy as np

from hwsearch.search.candidates import all_networks
from hwsearch.search.goal import Goal, answers
from hwsearch.search.objectives import Objective
from hwsearch.search.searcher import Searcher
from hwsearch.search.sight import Archive
from hwsearch.space import Space


def pareto_search(
    space: Space,
    distance: Objective,
    costs: Sequence[Objective],
    *,
    evaluations: int,
    batch: int = 4,
    stop_gain: float = 0.0,
    seed: int = 0,
    excess: Sequence[Objective] = (),
    most_distance: float = np.inf,
    known: np.ndarray | None = None,
    first: np.ndarray | None = None,
    earlier: Sequence[Archive] = (),
) -> tuple[np.ndarray, float]:
    """Searches for networks that are close to the teacher and cheap on every device.

    A grid no larger than the budget is enumerated. The distance is asked for once per distinct
    network, and the order depends on the seed, the batch and the answers but not on the budget:
    replaying a search with remembered answers repeats it exactly, and a larger budget continues it.

    Args:
        space: Where to search.
        distance: Dear objective, asked for the networks of one batch.
        costs: Positive objectives such as milliseconds, one for each device; cheap.
        evaluations: How many distinct networks to evaluate beside the known ones.
        batch: Networks a batch.
        stop_gain: The search ends when a batch is expected to enlarge what the fronts cover by less
            than this share.
        seed: Of every random choice.
        excess: For each device by how much its limits are missed; none for no limits.
        most_distance: Distance above which no network is of interest.
        known: Networks whose distance is at hand, int[n, D].
        first: Networks to begin with, if they keep the limits, int[n, D]: one that is the teacher.
        earlier: What other searches of the space have found, with other distances.

    Returns:
        Codes of the evaluated networks in the order of evaluation, int[N, D], and the share by
        which one more batch is expected to enlarge what the fronts cover.

    Raises:
        HwsearchError: If an objective fails or gives no number, or no network is allowed.
    """
    limits = excess or [None] * len(costs)
    goals = [Goal(_log_of(cost), limit) for cost, limit in zip(costs, limits, strict=True)]
    if space.size <= evaluations:
        codes = all_networks(space, goals)
        answers(space, distance, codes)
        return codes, 0.0
    searcher = Searcher(
        space,
        goals,
        batch=batch,
        seed=seed,
        most_distance=most_distance,
        first=first,
        earlier=earlier,
    )
    batches: list[np.ndarray] = []
    left = evaluations
    if known is not None and len(known):
        searcher.tell(known, answers(space, distance, known))
        batches.append(known)
    while len(asked := searcher.ask()) and left and searcher.expected_gain >= stop_gain:
        told = asked[:left]
        searcher.tell(told, answers(space, distance, told))
        batches.append(told)
        left -= len(told)
    return np.concatenate(batches), searcher.expected_gain if len(asked) else 0.0


def _log_of(cost: Objective) -> Objective:
    def log(codes: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(cost(codes))

    return log
