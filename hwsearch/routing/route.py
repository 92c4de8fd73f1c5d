"""The verb route: which network, trained on which cluster, fits a task.

Without labels the task's images are sent down the tree; the leaf that most of them reach is taken.
With labels each network is judged by nearest neighbours, calibrated on these images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.checkpoint import load_run
from hwsearch.clusters.files import read_clusters
from hwsearch.config import check_config, write_config
from hwsearch.data.sources import Source, open_source
from hwsearch.distance import SupernetStudents
from hwsearch.distance.images import FEWEST
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.heads import cross_fit
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.journal import Journal
from hwsearch.nn.place import Device, find_place
from hwsearch.progress import say, track
from hwsearch.routing.features import write_features
from hwsearch.routing.networks import PathRun
from hwsearch.routing.ranking import Scores
from hwsearch.routing.verdicts import Pick, Ranking, write_ranking
from hwsearch.selfsup.base import Weights

FILE, KIND, CONFIG = "route.jsonl", "route", "config.toml"
FOLDS = 2
"""Parts of the labelled images, each told by what the other taught."""


@dataclass(frozen=True, kw_only=True)
class RouteOptions:
    """What to route, and among which networks."""

    checkpoint: Path
    """Folder of hwsearch train --clusters."""

    clusters: Path
    """Folder of the tree that it was trained on."""

    task: str
    """Images of the task, without labels: a folder, tar shards or sklearn:digits."""

    out: Path
    """Folder of the ranking; the same command goes on where it was stopped."""

    labelled: str | None = None
    """Some labelled images of the task, with a sub-folder a class; they then decide."""

    max_labelled: int = 2000
    """Most of them to use."""

    splits: int = 5
    """How often labelled images are split at random into halves that tell each other's classes."""

    k: int = 5
    """Neighbours that vote."""

    weights: Weights = "online"
    """Which of the checkpoint's weights: as trained, or their slow average."""

    device: Device = "auto"
    """Where networks compute; auto takes a GPU if there is one."""

    max_corrupt_share: float = 0.01
    """Largest tolerated share of images that cannot be read."""

    seed: int = 0
    """Seed of all draws."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        for name, least in (("splits", 1), ("k", 1), ("max_labelled", 1), ("seed", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise HwsearchError(f"--{flag} {getattr(self, name)} is less than {least}")


def route(options: RouteOptions) -> Pick:
    """Ranks the networks for a task; writes a journal, `ranking.csv` and `pick.json`.

    Returns:
        The best one.

    Raises:
        HwsearchError: If run, tree and images do not fit together, there are too few images, or
            the folder holds another ranking or the config file of another command.
    """
    return write_ranking(rank(options), options.out)


def rank(options: RouteOptions) -> Ranking:
    """Ranks the networks for a task, and writes the journal alone.

    Raises:
        HwsearchError: See `route`.
    """
    check_config(options.out / CONFIG, options)
    paths = PathRun.of(load_run(options.checkpoint), read_clusters(options.clusters))
    source = open_source(options.task)
    images = _load_labelled(options, paths)
    header = _header(options, paths, source, images)
    with Journal.open(options.out / FILE, KIND, header) as journal:
        if journal.repaired:
            say(journal.repaired)
        write_config(options.out / CONFIG, options, ("torch", "numpy", "scikit-learn"))
        shares = _shares(options, paths, source, journal)
        accuracies, losses_C = None, None
        if images is not None:
            verdicts = _judge(options, paths, images, journal)
            accuracies, losses_C = _summarise(verdicts, options.seed)
    return Ranking(paths, options.weights, shares, accuracies, losses_C)


def _load_labelled(options: RouteOptions, paths: PathRun) -> LabelledImages | None:
    if options.labelled is None:
        if paths.run.header.recipe.get("shuffle_clusters"):
            raise HwsearchError(
                "leaves whose images were dealt at random tell nothing of a task",
                where=options.checkpoint,
                fix="Give --labelled",
            )
        return None
    side = paths.run.space.input_side(paths.run.space.maximum)
    images = load_labelled(options.labelled, side, limit=options.max_labelled)
    images.folds(FOLDS)
    return images


def _header(
    options: RouteOptions, paths: PathRun, source: Source, images: LabelledImages | None
) -> dict[str, Any]:
    return {
        "checkpoint": paths.run.fingerprint,
        "clusters": paths.clusters.fingerprint,
        "task": source.fingerprint(),
        "labelled": None if images is None else images.fingerprint,
        "splits": options.splits,
        "k": options.k,
        "weights": options.weights,
        "place": find_place(options.device),
        "seed": options.seed,
    }


def _shares(options: RouteOptions, paths: PathRun, source: Source, journal: Journal) -> Scores:
    """Sends the task's images down the tree; of the whole network it tells the chance of a leaf."""
    features_NE = write_features(
        source,
        paths.sorter(),
        options.out,
        journal,
        place=find_place(options.device),
        max_corrupt=options.max_corrupt_share,
    )
    tree = paths.clusters.tree
    leaves_N = tree.leaf_numbers(features_NE)
    leaves_N = leaves_N[leaves_N >= 0]
    if len(leaves_N) < FEWEST:
        raise HwsearchError(
            f"a task needs {FEWEST} images or more; there are {len(leaves_N)}",
            where=source.name,
            fix="Give more --task images",
        )
    sizes = np.bincount(leaves_N, minlength=len(tree.leaves))
    by_chance = np.full((len(sizes), 1), 1 / len(sizes))
    return Scores(np.hstack([np.eye(len(sizes)), by_chance]), options.seed, sizes)


def _judge(
    options: RouteOptions, paths: PathRun, images: LabelledImages, journal: Journal
) -> dict[str, list[ClassVerdict]]:
    """Judges every network on each split; what the journal knows is not judged again."""
    rows = [row for row in journal.rows if "network" in row]
    known = {(row["network"], row["split"]): ClassVerdict.unpacked(row["verdict"]) for row in rows}
    names = list(paths.subnets)
    with track("judge", len(names) * options.splits, start=len(known)) as advance:
        students = SupernetStudents(
            paths.run,
            images.target,
            weights=options.weights,
            place=find_place(options.device),
        )
        for name in names:
            left = [split for split in range(options.splits) if (name, split) not in known]
            features_NE = paths.embeddings(name, students) if left else np.empty(0)
            for split in left:
                folds_N = images.folds(FOLDS, options.seed + split)
                verdict = cross_fit(NeighbourHead(options.k), features_NE, images.labels, folds_N)
                row = {"network": name, "split": split, "verdict": verdict.packed()}
                journal.append(row)
                known[name, split] = verdict
                advance(note=name)
    return {name: [known[name, split] for split in range(options.splits)] for name in names}


def _summarise(verdicts: dict[str, list[ClassVerdict]], seed: int) -> tuple[Scores, np.ndarray]:
    """Returns each image's mean over splits for each network, and mean log-losses [C]."""
    correct_NC = np.stack(
        [np.mean([one.correct_N for one in told], axis=0) for told in verdicts.values()], axis=1
    )
    losses = [np.mean([one.score("log_loss") for one in told]) for told in verdicts.values()]
    return Scores(correct_NC, seed), np.array(losses)
