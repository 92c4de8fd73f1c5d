"""What is lost on a task by a network that was chosen otherwise than by the task's own labels.

Shapes: R draws (the first row is no draw), S networks, K seeds, T tasks, N images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.regret import halves, shares
from hwsearch.evaluate.verdict import whole_and_drawn
from hwsearch.study.scores import Results, sign

LARGEST, MEAN_RANK, CHANCE = "most parameters", "best elsewhere", "any network"

SPLITS = 3
"""Random splits of the images into halves."""


@dataclass(frozen=True)
class Regret:
    """What is lost on a task by a network that was chosen otherwise.

    Attributes:
        measure: Of the results.
        chooser: Task whose best network is taken, or another way to choose.
        task: Where it is used.
        network: Label of the network that is taken; empty for chance.
        regret: How far it is below what the task's own labels choose.
    """

    measure: str
    chooser: str
    task: str
    network: str
    regret: Interval


def find_regrets(results: Results, measure: str, *, draws: int, seed: int) -> Iterator[Regret]:
    """Yields the regret of each way to choose, on each task.

    The best of many on some images is too good by chance there, and so is a lucky run on every
    task. So the task's labels choose by one half of its images and are told by the other, and
    whoever chooses does so by all seeds but the one that tells. Intervals are over images and
    networks.
    """
    rng, count = np.random.default_rng(seed), len(results.networks)
    rows_RS = rng.integers(count, size=(draws + 1, count))
    rows_RS[0] = np.arange(count)
    params_RS = np.array([one.params for one in results.networks], dtype=float)[rows_RS]
    lost: dict[str, list[np.ndarray]] = {}
    for whole_RST, own_RST, told_RST in _ways(results, measure, rows_RS, seed):
        best_RT = _taken(own_RST, told_RST)
        for chooser, liked_RST in _choosers(results.tasks, whole_RST, params_RS).items():
            lost_RT = best_RT - _taken(liked_RST, told_RST)
            if chooser in results.tasks:
                lost_RT[:, results.tasks.index(chooser)] = 0.0
            lost.setdefault(chooser, []).append(lost_RT)
    means_1ST = results.scores[measure].mean(axis=1)[None]
    for chooser, liked_1ST in _choosers(results.tasks, means_1ST, params_RS[:1]).items():
        lost_RT = np.mean(lost[chooser], axis=0)
        for at, task in enumerate(results.tasks):
            place = int(np.broadcast_to(liked_1ST, means_1ST.shape)[0, :, at].argmax())
            label = "" if chooser == CHANCE else results.networks[place].label
            yield Regret(measure, chooser, task, label, Interval.of(lost_RT[:, at]))


def _ways(
    results: Results, measure: str, rows_RS: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields how good networks are on all images, and on one half, by some seeds, float[R, S, T].

    With what the other half tells by the seed that is left, or by the same if it is the only one.
    """
    images_T = [len(results.verdicts_of(results.networks[0], task)[0]) for task in results.tasks]
    whole_TRN = [whole_and_drawn(images, len(rows_RS) - 1, seed) for images in images_T]
    masks = [halves(images, SPLITS) for images in images_T]

    def scores(masks_TN: Iterable[np.ndarray]) -> np.ndarray:
        weights_TRN = [w * mask_N for w, mask_N in zip(whole_TRN, masks_TN, strict=True)]
        return _scores(results, measure, weights_TRN, rows_RS)

    whole_RSKT = _scores(results, measure, whole_TRN, rows_RS)
    for split in range(SPLITS):
        one_RSKT = scores(masks_HN[split] for masks_HN in masks)
        other_RSKT = scores(1 - masks_HN[split] for masks_HN in masks)
        for own_RSKT, told_RSKT in ((one_RSKT, other_RSKT), (other_RSKT, one_RSKT)):
            for k in range(len(results.seeds)):
                by = [other for other in range(len(results.seeds)) if other != k] or [k]
                yield (
                    whole_RSKT[:, :, by].mean(axis=2),
                    own_RSKT[:, :, by].mean(axis=2),
                    told_RSKT[:, :, k],
                )


def _scores(
    results: Results, measure: str, weights_TRN: Sequence[np.ndarray], rows_RS: np.ndarray
) -> np.ndarray:
    """Returns how good the drawn networks are on the drawn images, float[R, S, K, T]."""
    found_TRSK = []
    for task, weights_RN in zip(results.tasks, weights_TRN, strict=True):
        every = [results.verdicts_of(network, task) for network in results.networks]
        each_SKN = np.array([[one.each(measure) for one in seeds] for seeds in every], "f4")
        sums_RSK = np.tensordot(weights_RN, each_SKN, axes=(1, 2))
        found_TRSK.append(sums_RSK / weights_RN.sum(axis=1)[:, None, None])
    scores_RSKT = sign(measure) * np.stack(found_TRSK, axis=-1).astype(float)
    return scores_RSKT[np.arange(len(rows_RS))[:, None], rows_RS]


def _taken(liked_RST: np.ndarray, told_RST: np.ndarray) -> np.ndarray:
    """Returns what the network that is liked most is told to be, float[R, T]."""
    return (shares(liked_RST) * told_RST).sum(axis=1)


def _choosers(
    tasks: Sequence[str], scores_RST: np.ndarray, params_RS: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Returns how much each way to choose likes each network, float[R, S, T] or float[R, S, 1]."""
    found = {task: scores_RST[..., [at]] for at, task in enumerate(tasks)}
    if len(tasks) > 1:
        ranks_RST = rankdata(scores_RST, axis=1)
        found[MEAN_RANK] = ranks_RST.sum(axis=2, keepdims=True) - ranks_RST
    found[LARGEST] = params_RS[..., None]
    found[CHANCE] = np.zeros_like(params_RS[..., None])
    return found
