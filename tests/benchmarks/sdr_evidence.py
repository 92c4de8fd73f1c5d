"""Does a task gain from weights of the right part of the data? The paths of SDR and its controls.

    python tests/benchmarks/sdr_evidence.py --data DIR --keep FOLDER --only "*-0*"
    python tests/benchmarks/sdr_evidence.py --reduced --keep FOLDER

DIR has a folder with train-*.tar.gz for each of `SOURCES`, whose images train, and of `TASKS`,
whose labels judge, also those of test-*.tar.gz; --reduced takes sklearn:digits for both and a few
minutes. Each unit trains one run by the code of `hwsearch train`, or judges all runs of a seed on
one task, and leaves one row in results/sdr_evidence.jsonl; units that have a row are not run again.
All runs of a seed but "equal" go on from the same whole network, for as many steps, by MoCo v2:
SimSiam, which the paper takes, hardly beats random weights after as few (see
supernet_evidence.py):

    paths       16 leaves, each on its cluster
    shuffled    the same on images dealt to the leaves at random, routed alike
    untaught    without what paths learn from the frozen network
    at-once     without the phase before the last
    unified     the whole network, on all images; of 16 of its checkpoints one is chosen as well
    equal       one network of a leaf's shape from the start, on all images, for the steps of both
    target      the whole network on the task's train-*, for a leaf's share of the steps
    cluster     the whole network on the images of the task's leaf, for that share
    half        the whole network from the start on each half of the tree, and on all images in as
                many steps; "whole" has all images in as many epochs

Whatever chooses by labels chooses by one half of the images and is told by the other; without
labels a task goes to the leaf that most of its train-* reach. Without --data or --reduced the
script only prints what the journal holds, see sdr_report.py.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from rows import add_row, open_results
from sdr_report import report
from sdr_study import CHILDREN, HALVES, LEAVES, LEVELS, RUNS, SPACE, Study, reduced, studies

from hwsearch.checkpoint import Checkpoint, load_run
from hwsearch.choice.regret import choose_all
from hwsearch.choice.selectors import ORACLE, Prefer
from hwsearch.clusters.files import read_clusters
from hwsearch.distance import SupernetStudents
from hwsearch.evaluate.frozen import FrozenFeatures
from hwsearch.evaluate.heads import cross_fit
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import linear_head
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.verdict import ClassVerdict, values
from hwsearch.routing.cluster import ClusterOptions, cluster
from hwsearch.routing.networks import WHOLE, PathRun
from hwsearch.routing.route import RouteOptions, rank
from hwsearch.spaces import get_space
from hwsearch.train import TrainOptions, train

FOLDS, NEIGHBOURS, LIMIT, KEPT = 5, 5, 1000, "kept"


def plan(study: Study) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields the units of a seed by name, each with what does it and returns its figures."""
    yield f"whole-{study.seed}", lambda: trained(study.start(study.folder("whole")))
    yield f"tree-{study.seed}", lambda: clustered(study)
    for name in (*RUNS, *HALVES):
        work = trained_and_kept if name == "unified" else trained
        yield f"{name}-{study.seed}", lambda name=name, work=work: work(study.run(name))
    for task in study.tasks:
        yield f"judge-{study.seed}-{task}", lambda task=task: judged(study, task)


def trained(options: TrainOptions) -> dict[str, Any]:
    """Trains a run and says what it did."""
    train(options)
    log = pd.read_json(options.out / "metrics.jsonl", lines=True)
    steps = int(log["step"].iloc[-1])
    return {
        "method": options.method,
        "steps": steps,
        "images_seen": steps * options.batch,
        "embedding_std": float(log["embedding_std"].tail(10).mean()),
    }


def trained_and_kept(options: TrainOptions) -> dict[str, Any]:
    """Trains a run and keeps as many of its checkpoints as a tree has leaves, the last is one."""
    save, every, kept = Checkpoint.save, options.checkpoint_steps, options.out / KEPT
    assert every is not None

    def keep(checkpoint: Checkpoint, run: Path) -> None:
        step = checkpoint.header.step
        if step in {every * count for count in range(1, LEAVES)} | {checkpoint.header.steps}:
            save(checkpoint, kept / f"{step:06d}")
        save(checkpoint, run)  # last: a run that is killed between the two takes the step again

    with patch.object(Checkpoint, "save", keep):
        row = trained(options)
    count = len(list(kept.iterdir()))
    assert count == LEAVES, f"{kept} has {count} checkpoints"
    return row | {"checkpoints": count}


def clustered(study: Study) -> dict[str, Any]:
    """Grows the tree and says how even it is."""
    options = ClusterOptions(
        checkpoint=study.folder("whole"),
        images=study.images,
        out=study.folder("tree"),
        children=CHILDREN,
        levels=LEVELS,
        seed=study.seed,
    )
    cluster(options)
    leaves = read_clusters(study.folder("tree")).leaves_N
    sizes = np.bincount(leaves[leaves >= 0], minlength=LEAVES)
    return {"leaves": len(sizes), "fewest": int(sizes.min()), "most": int(sizes.max())}


@dataclass(frozen=True, eq=False)
class Judged:
    """Verdicts on the networks of one task, set by set.

    Attributes:
        images: Labelled images of the task.
        sets: Name of the set of each network.
        linear: By a linear classifier.
        nearest: By nearest neighbours.
    """

    images: LabelledImages
    sets: list[str]
    linear: list[tuple[ClassVerdict, ...]]
    nearest: list[tuple[ClassVerdict, ...]]

    def add(self, name: str, features_NE: np.ndarray) -> None:
        """Judges one network more."""
        folds = self.images.folds(FOLDS)
        for head, found in (
            (linear_head, self.linear),
            (NeighbourHead(NEIGHBOURS), self.nearest),
        ):
            found.append((cross_fit(head, features_NE, self.images.labels, folds),))
        self.sets.append(name)

    def of(self, *names: str) -> np.ndarray:
        """Tells which networks are of some sets, bool[C]."""
        return np.isin(self.sets, names)


def judged(study: Study, task: str) -> dict[str, Any]:
    """Judges all networks on one task, and lets each way choose."""
    space = get_space(SPACE)
    images = load_labelled(study.tasks[task], space.input_shape[1], limit=LIMIT)
    found = Judged(images, [], [], [])
    shares = {}
    for name in ("paths", "shuffled", "untaught", "at-once"):
        paths = PathRun.of(load_run(study.folder(name)), read_clusters(study.folder("tree")))
        students = SupernetStudents(paths.run, images.target)
        for leaf in paths.subnets:
            if leaf != WHOLE:
                found.add(name, paths.embeddings(leaf, students))
        if name == "paths":
            shares = _route(study, task)
            leaf = max(shares, key=lambda one: shares[one])
            number = [one for one in paths.subnets if one != WHOLE].index(leaf)
    for name, out in _single_runs(study, task, number):
        run = load_run(out)
        features = FrozenFeatures(SupernetStudents(run, images.target), images.target)
        found.add(name, features(run.space.maximum))
    return {"task": task, "images": len(images), **_figures(found, list(shares.values()))}


def _single_runs(study: Study, task: str, leaf: int) -> Iterator[tuple[str, Path]]:
    """Yields runs of one network, training those that are of this task."""
    for name in ("whole", "unified", "equal", *HALVES):
        yield name, study.folder(name)
    for path in sorted((study.folder("unified") / KEPT).iterdir()):
        yield "checkpoints", path
    own = {"target": study.unlabelled[task], "cluster": str(study.subset(f"leaf{leaf}", [leaf]))}
    for name, source in own.items():
        key = f"target-{task}" if name == "target" else f"cluster{leaf}"
        options = study.share(key, source)
        train(options)
        yield name, options.out


def _route(study: Study, task: str) -> dict[str, float]:
    """Returns the share of a task's images that reach each leaf."""
    ranking = rank(
        RouteOptions(
            checkpoint=study.folder("paths"),
            clusters=study.folder("tree"),
            task=study.unlabelled[task],
            out=study.folder("routes") / task,
            seed=study.seed,
        )
    )
    told = dict(zip(ranking.names, ranking.shares.means_C.tolist(), strict=True))
    return {name: share for name, share in told.items() if name != WHOLE}


def _figures(found: Judged, shares: list[float]) -> dict[str, Any]:
    """Returns the accuracy of what each way chooses, on images that did not choose."""
    ways: dict[str, Prefer] = {ORACLE: _by(found, found.linear, "paths")}
    ways["half, labels"] = _by(found, found.nearest, *HALVES[:2])
    for name in ("paths", "shuffled", "untaught", "at-once", "checkpoints"):
        ways[f"{name}, labels"] = _by(found, found.nearest, name)
        ways[f"{name}, any"] = _fixed(np.where(found.of(name), 0.0, -np.inf))
    liked = np.full(len(found.sets), -np.inf)
    liked[found.of("paths")] = shares
    ways["paths, no labels"] = _fixed(liked)
    for name in ("whole", "unified", "equal", "target", "cluster", *HALVES):
        ways[name] = _fixed(np.where(found.of(name), 0.0, -np.inf))
    every = np.ones(len(found.sets), dtype=bool)
    chosen = choose_all(found.linear, ways, every, draws=0, seed=0)
    least = {one.selector: float(one.regret["accuracy"][0]) for one in chosen}
    linear = np.array([one.score("accuracy") for (one,) in found.linear])
    return {
        "below the oracle": least,
        "linear": {name: linear[found.of(name)].round(4).tolist() for name in set(found.sets)},
    }


def _fixed(liked_C: np.ndarray) -> Prefer:
    return lambda weights_RN, within_C, measure: liked_C[None]


def _by(found: Judged, verdicts: list[tuple[ClassVerdict, ...]], *names: str) -> Prefer:
    """Prefers the most accurate network of some sets."""
    return lambda weights_RN, within_C, measure: np.where(
        found.of(*names), values(verdicts, "accuracy", weights_RN), -np.inf
    )


def _studies(given: argparse.Namespace) -> Iterator[Study]:
    if given.reduced:
        yield reduced(given.keep, given.device)
    elif given.data:
        yield from studies(given.data, given.keep, given.device)


def main() -> None:
    """Runs units, or only reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the image sets")
    parser.add_argument("--reduced", action="store_true", help="sklearn:digits, a few minutes")
    parser.add_argument("--keep", type=Path, default=Path("evidence"), help="folder for runs")
    parser.add_argument("--only", default="*", help="units to run, such as 'paths-0'")
    parser.add_argument("--device", default="auto", help="where to train: auto, cpu or cuda")
    given = parser.parse_args()
    with open_results("sdr_evidence") as journal:
        done = {(row["unit"], row["reduced"]) for row in journal.rows}
        for study in _studies(given):
            for name, work in plan(study):
                if fnmatch(name, given.only) and (name, given.reduced) not in done:
                    print(f"unit {name}", flush=True)
                    row = {"unit": name, "seed": study.seed, "reduced": given.reduced, **work()}
                    add_row(journal, row)
        report(list(journal.rows), reduced=given.reduced)


if __name__ == "__main__":
    main()
