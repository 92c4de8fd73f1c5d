"""What judges and selectors say of every network on every task, journaled as it is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.choice.options import ChooseOptions, FrozenJudge
from hwsearch.choice.pools import PATHS, SUPERNET, Pool
from hwsearch.distance import SupernetStudents
from hwsearch.distance.images import load_target
from hwsearch.evaluate.frozen import on_frozen
from hwsearch.evaluate.heads import Head
from hwsearch.evaluate.judges import Judge, JudgeName
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import PENALTIES, linear_head
from hwsearch.evaluate.named import NamedTask
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.remembered import RememberedVerdicts, Unit, judge_all
from hwsearch.evaluate.verdict import Verdict
from hwsearch.journal import Journal
from hwsearch.nn.place import find_place
from hwsearch.progress import say
from hwsearch.routing.route import RouteOptions, rank
from hwsearch.search.ranking import Ranking, open_ranking, rank_all

KIND = "choices"
CENTROIDS = "route-centroids"


@dataclass(frozen=True, eq=False)
class Told:
    """What is known of one task.

    Attributes:
        task: Name of the task.
        verdicts: By judge: of each network, in the order of the pools, one a seed.
        scores: By selector, lower is better, float[C]; inf where it does not rank a network.
    """

    task: str
    verdicts: Mapping[FrozenJudge, tuple[tuple[Verdict, ...], ...]]
    scores: Mapping[str, np.ndarray]


def gather(options: ChooseOptions, task: NamedTask, pools: Sequence[Pool]) -> Told:
    """Judges all networks on one task and asks all selectors; what was said is not asked again.

    Raises:
        HwsearchError: If images or labels cannot be used, or a journal holds other answers.
    """
    folder = options.out / "tasks" / task.name
    images = load_labelled(task.source, pools[0].space.input_shape[1], limit=options.limit)
    images.folds(options.folds)
    judges = _judges_of(pools, options)
    verdicts: dict[FrozenJudge, list[tuple[Verdict, ...]]] = {name: [] for name in judges}
    for pool in pools:
        found = _judge(pool, images, judges, options, folder)
        for judge, subnet in product(judges, pool.networks.values()):
            verdicts[judge].append(tuple(found[subnet, judge, seed] for seed in options.seeds))
    count = sum(len(pool.networks) for pool in pools)
    scores = {
        name: _among(values, pools, SUPERNET, count)
        for name, values in _distances(options, task, pools[0], folder).items()
    }
    for pool in pools:
        # Leaves whose images were dealt at random tell nothing of a task.
        if pool.name == PATHS and not pool.run.header.recipe.get("shuffle_clusters"):
            scores[CENTROIDS] = _among(_shares(options, task, pool, folder), pools, PATHS, count)
    return Told(task.name, {name: tuple(found) for name, found in verdicts.items()}, scores)


def _judges_of(pools: Sequence[Pool], options: ChooseOptions) -> tuple[FrozenJudge, ...]:
    """Routing by labels asks nearest neighbours, whoever judges."""
    routed = any(pool.name == PATHS for pool in pools)
    return tuple(dict.fromkeys((options.judge, "knn") if routed else (options.judge,)))


def _judge(
    pool: Pool,
    images: LabelledImages,
    names: Sequence[FrozenJudge],
    options: ChooseOptions,
    folder: Path,
) -> dict[Unit, Verdict]:
    """Returns what judges say of the networks of one pool, network by network."""
    embed = pool.embedder(images.target, options)
    judges: dict[JudgeName, Judge] = {
        name: on_frozen(_head(name, options), embed, images, options.folds) for name in names
    }
    units = [*product(pool.networks.values(), judges, options.seeds)]
    told = {"data": images.fingerprint, "folds": options.folds, "k": options.k}
    header = _header(pool, options) | told | {"penalties": PENALTIES}
    with _opened(folder / f"{pool.name}.jsonl", header) as journal:
        verdicts = RememberedVerdicts(pool.space, journal, judges)
        return judge_all(verdicts, units, f"{folder.name}: judge {pool.name}")


def _header(pool: Pool, options: ChooseOptions) -> dict[str, Any]:
    return {
        **pool.origin,
        "weights": options.weights,
        "calibration_images": options.calibration_images,
        "place": find_place(options.device),
        "seed": options.seed,
    }


def _opened(path: Path, header: Mapping[str, Any]) -> Journal:
    journal = Journal.open(path, KIND, header)
    if journal.repaired:
        say(journal.repaired)
    return journal


def _head(judge: FrozenJudge, options: ChooseOptions) -> Head:
    return linear_head if judge == "linear" else NeighbourHead(options.k)


def _distances(
    options: ChooseOptions, task: NamedTask, pool: Pool, folder: Path
) -> dict[str, np.ndarray]:
    """Returns what each distance or control says of the supernet's networks."""
    target = load_target(task.source, pool.space.input_shape[1], limit=options.max_images)
    students = pool.students(target, options)
    students.remembers = True
    asked = [(name, "") for name in options.selectors]
    asked += [("auto", teacher) for teacher in options.teacher]
    opened = {
        one.name: one for one in (_open(options, students, folder, *which) for which in asked)
    }
    header = _header(pool, options) | {"images": target.fingerprint}
    with _opened(folder / "scores.jsonl", header) as journal:
        networks = list(pool.networks.values())
        found = rank_all(opened, pool.space, networks, journal, f"{task.name}: rank")
    return {name: np.array([*values.values()]) for name, values in found.items()}


def _open(
    options: ChooseOptions, students: SupernetStudents, folder: Path, asked: str, teacher: str
) -> Ranking:
    return open_ranking(
        asked,
        "classification",
        students,
        teacher=teacher,
        cache=folder / "teacher",
        seed=options.seed,
    )


def _shares(options: ChooseOptions, task: NamedTask, pool: Pool, folder: Path) -> np.ndarray:
    """Returns how few of the task's images reach each leaf; lower is better."""
    assert options.paths is not None and options.clusters is not None
    ranking = rank(
        RouteOptions(
            checkpoint=options.paths,
            clusters=options.clusters,
            task=task.source,
            out=folder / "route",
            weights=options.weights,
            device=options.device,
            seed=options.seed,
        )
    )
    assert ranking.names == list(pool.networks)
    chosen = ranking.names[ranking.by_images]
    values_C = -ranking.shares.means_C
    values_C[ranking.names.index(chosen)] -= 1  # the rule prefers the whole network in doubt
    return values_C


def _among(values: np.ndarray, pools: Sequence[Pool], whose: str, count: int) -> np.ndarray:
    """Places what is said of one pool's networks among all, float[C]."""
    start = 0
    for pool in pools:
        if pool.name == whose:
            break
        start += len(pool.networks)
    placed = np.full(count, np.inf)
    placed[start : start + len(values)] = values
    return placed
