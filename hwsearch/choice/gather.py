"""What judges and selectors say of every network on every task, journaled as it is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from hwsearch.choice.options import ChooseOptions, FrozenJudge
from hwsearch.choice.pools import PATHS, SUPERNET, Pool
from hwsearch.distance import SupernetStudents
from hwsearch.distance.images import load_target
from hwsearch.evaluate.heads import Head, cross_fit
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import PENALTIES, linear_head
from hwsearch.evaluate.named import NamedTask
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.journal import Journal
from hwsearch.nn.place import find_place
from hwsearch.progress import say, track
from hwsearch.routing.route import RouteOptions, rank
from hwsearch.search.ranking import Ranking, open_ranking

KIND = "choice"
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
    verdicts: Mapping[FrozenJudge, tuple[tuple[ClassVerdict, ...], ...]]
    scores: Mapping[str, np.ndarray]


def gather(options: ChooseOptions, task: NamedTask, pools: Sequence[Pool]) -> Told:
    """Judges all networks on one task and asks all selectors; what was said is not asked again.

    Raises:
        HwsearchError: If images or labels cannot be used, or a journal holds other answers.
    """
    folder = options.out / "tasks" / task.name
    images = load_labelled(task.source, pools[0].space.input_shape[1], limit=options.limit)
    images.folds(options.folds)
    verdicts: dict[FrozenJudge, list[tuple[ClassVerdict, ...]]] = {}
    for pool in pools:
        with _journal(folder, pool, images, options) as journal:
            for judge in _judges_of(pools, options):
                found = _Judged(journal, task, pool, judge).ask(images, options)
                verdicts.setdefault(judge, []).extend(found)
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


def _journal(folder: Path, pool: Pool, images: LabelledImages, options: ChooseOptions) -> Journal:
    header = {
        **pool.origin,
        "weights": options.weights,
        "calibration_images": options.calibration_images,
        "place": find_place(options.device),
        "data": images.fingerprint,
        "folds": options.folds,
        "k": options.k,
        "penalties": PENALTIES,
        "seed": options.seed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(folder / f"{pool.name}.jsonl", KIND, header)
    if journal.repaired:
        say(journal.repaired)
    return journal


@dataclass(frozen=True)
class _Judged:
    """Verdicts of one judge on the networks of one pool, in a journal."""

    journal: Journal
    task: NamedTask
    pool: Pool
    judge: FrozenJudge

    def ask(self, images: LabelledImages, options: ChooseOptions) -> list[tuple[ClassVerdict, ...]]:
        """Returns the verdicts of all seeds on each network."""
        known = {
            (row["network"], row["seed"]): row["verdict"]
            for row in self.journal.rows
            if row.get("judge") == self.judge
        }
        units = [(name, seed) for name in self.pool.networks for seed in options.seeds]
        left = [unit for unit in units if unit not in known]
        what = f"{self.task.name}: judge {self.pool.name} ({self.judge})"
        with track(what, len(units), start=len(units) - len(left), quiet=not left) as advance:
            embed, head = self.pool.embedder(images.target, options), _head(self.judge, options)
            for name in dict.fromkeys(name for name, _ in left):
                features_NE = embed(name)
                for seed in (seed for one, seed in left if one == name):
                    folds = images.folds(options.folds, seed)
                    told = cross_fit(head, features_NE, images.labels, folds).packed()
                    self.journal.append(
                        {"network": name, "judge": self.judge, "seed": seed, "verdict": told}
                    )
                    known[name, seed] = told
                    advance()
        return [
            tuple(ClassVerdict.unpacked(known[name, seed]) for seed in options.seeds)
            for name in self.pool.networks
        ]


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
    header = {
        **pool.origin,
        "weights": options.weights,
        "calibration_images": options.calibration_images,
        "place": find_place(options.device),
        "images": target.fingerprint,
        "seed": options.seed,
    }
    with Journal.open(folder / "scores.jsonl", KIND, header) as journal:
        if journal.repaired:
            say(journal.repaired)
        known = {
            (row["network"], name): row["value"]
            for name, ranking in opened.items()
            for row in journal.rows
            if row["selector"] == name and ranking.gave(row)
        }
        # Network by network: several selectors look at the same features, which are then kept.
        units = [(name, selector) for name in pool.networks for selector in opened]
        left = [unit for unit in units if unit not in known]
        done = len(units) - len(left)
        with track(f"{task.name}: rank", len(units), start=done, quiet=not left) as advance:
            for name, selector in left:
                ranking = opened[selector]
                value = _finite(ranking.judge(pool.networks[name]))
                row = {"network": name, "selector": selector, "value": value}
                journal.append(row | ranking.told())
                known[name, selector] = value
                advance(note=selector)
    return {
        selector: np.array([_number(known[name, selector]) for name in pool.networks])
        for selector in opened
    }


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


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _number(value: float | None) -> float:
    return np.inf if value is None else value
