"""Who wins each task, and by how much.

Shapes: R draws (the first row is no draw), S networks, K seeds, T tasks, N images.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np

from hwsearch.correlation.analysis import Interval
from hwsearch.evaluate.verdict import whole_and_drawn
from hwsearch.study.networks import Network
from hwsearch.study.scores import Results, sign

EVERYWHERE = "all"


@dataclass(frozen=True)
class Winner:
    """The best network of a task and the one after it.

    Attributes:
        measure: Of the results.
        where: "all", or a bin of parameters.
        task: The task.
        winner: Label of the best network.
        second: Label of the runner-up.
        score: Of the best one, higher is better.
        ahead: How far the best one is before the runner-up: images drawn for both alike, noise of
            runs drawn from what the seeds of all networks differ by. Without a second seed there is
            no interval.
    """

    measure: str
    where: str
    task: str
    winner: str
    second: str
    score: float
    ahead: Interval

    @property
    def counts(self) -> bool:
        """Whether the runner-up is excluded."""
        return self.ahead.low > 0


def bins_of(results: Results, count: int) -> dict[str, list[int]]:
    """Returns the places of all networks, then those of bins of equally many, by parameters."""
    order = np.argsort([one.params for one in results.networks], kind="stable")
    found, seen = {EVERYWHERE: list(range(len(order)))}, Counter[str]()
    if count < 2:
        return found
    for places in np.array_split(order, count):
        if len(places) >= 2:
            low, high = (results.networks[place].params for place in (places[0], places[-1]))
            label = f"{low / 1e6:.3g} to {high / 1e6:.3g} M parameters"
            seen[label] += 1
            number = f" ({seen[label]})" if seen[label] > 1 else ""
            found[label + number] = places.tolist()
    return found


def find_winners(
    results: Results, measure: str, *, bins: int, draws: int, seed: int
) -> Iterator[Winner]:
    """Yields the winner of every task, among all networks and in each bin of parameters."""
    scores_SKT = results.scores[measure]
    for at, task in enumerate(results.tasks):
        spread = _seed_noise(scores_SKT[..., at])
        first = results.verdicts_of(results.networks[0], task)[0]
        weights_RN = whole_and_drawn(len(first), draws, seed)
        for where, places in bins_of(results, bins).items():
            means_S = scores_SKT[places, :, at].mean(axis=1)
            order = np.argsort(-means_S, kind="stable")[:2]
            pair = [results.networks[places[place]] for place in order]
            ahead_R = _ahead(results, measure, task, pair, weights_RN)
            rng = np.random.default_rng((seed, at))
            ahead_R[1:] += _noise_of_means(spread, len(results.seeds), draws, rng)
            ahead = Interval(float(ahead_R[0]), nan, nan, nan)
            if len(results.seeds) > 1:
                ahead = Interval.of(ahead_R)
            best, second = (one.label for one in pair)
            yield Winner(measure, where, task, best, second, float(means_S[order[0]]), ahead)


def _ahead(
    results: Results, measure: str, task: str, pair: list[Network], weights_RN: np.ndarray
) -> np.ndarray:
    """Returns how far one network is before another one for each set of images, float[R]."""
    one_R, two_R = (
        np.mean([v.scores(measure, weights_RN) for v in results.verdicts_of(network, task)], axis=0)
        for network in pair
    )
    return sign(measure) * (one_R.astype(float) - two_R)


def _seed_noise(scores_SK: np.ndarray) -> np.ndarray:
    """Returns what runs of one network differ by, with the spread of single runs, float[S × K]."""
    seeds = scores_SK.shape[1]
    if seeds < 2:
        return np.zeros(1)
    centred = scores_SK - scores_SK.mean(axis=1, keepdims=True)
    return centred.ravel() * np.sqrt(seeds / (seeds - 1))


def _noise_of_means(
    spread: np.ndarray, seeds: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws the noise of the difference of two means over seeds, float[R - 1]."""
    drawn = rng.choice(spread, size=(2, draws, seeds)).mean(axis=2)
    return drawn[0] - drawn[1]
