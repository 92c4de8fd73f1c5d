"""What the evidence on SDR trains: every run of one seed as options of `hwsearch train`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.clusters.files import read_clusters
from hwsearch.clusters.paths import path_of
from hwsearch.data.sources import open_source
from hwsearch.spaces import get_space
from hwsearch.train import TrainOptions

SPACE, CHILDREN, LEVELS, SEEDS = "bottleneck-32^4", 4, 2, (0, 1, 2)
LEAVES = CHILDREN**LEVELS
SOURCES = ("cifar10", "tiny_imagenet")
TASKS = {
    "mnist": "characters",
    "omniglot": "characters",
    "fashion_mnist": "clothes",
    "flowers": "flowers",
    "gtsrb": "signs",
    "pacs_art": "styles",
    "pacs_cartoon": "styles",
    "pacs_photo": "styles",
    "pacs_sketch": "styles",
    "pneumonia": "medical",
    "rsscn7": "aerial",
}
"""Family of each task."""

RUNS = ("paths", "shuffled", "untaught", "at-once", "unified", "equal")
HALVES = ("half-one", "half-other", "half-all-steps")


@dataclass(frozen=True)
class Study:
    """Where things lie and how long runs take.

    Attributes:
        keep: Folder for runs.
        images: What trains.
        tasks: What judges, by name.
        unlabelled: Images of each task that can be learned from without labels.
        seed: Of everything.
        start_epochs: Passes of the whole network over all images.
        epochs: Passes after that, of all leaves together.
        batch: Images a step.
        device: Where runs train.
    """

    keep: Path
    images: str
    tasks: Mapping[str, str]
    unlabelled: Mapping[str, str]
    seed: int
    start_epochs: int = 10
    epochs: int = 16
    batch: int = 256
    device: str = "auto"

    def folder(self, name: str) -> Path:
        """Returns where a run of this seed lies."""
        return self.keep / f"{name}-{self.seed}"

    @property
    def steps(self) -> int:
        """Steps after the start."""
        return self.epochs * (len(open_source(self.images)) // self.batch)

    def start(self, out: Path) -> TrainOptions:
        """Options of the whole network from the start."""
        return TrainOptions(
            data=self.images,
            space=f"{SPACE}[max]",
            out=out,
            resume=out.exists(),
            method="moco-v2",  # SimSiam, SDR's own, learns little in as few steps
            queue=0,  # as for paths, whose keys would be of other clusters
            ema=0.99,
            epochs=self.start_epochs,
            batch=self.batch,
            optimizer="adamw",
            lr=0.002,
            residual_scale=1.0,
            projection_hidden=512,
            seed=self.seed,
            device=self.device,
            tensorboard=False,
            max_corrupt_share=0.01,
        )

    def run(self, name: str) -> TrainOptions:
        """Options of one of `RUNS` or `HALVES`."""
        start = self.start(self.folder(name))
        whole = replace(start, epochs=self.epochs, warm_start=self.folder("whole"))
        phases = (self.epochs // LEVELS,) * LEVELS
        paths = replace(whole, space=SPACE, clusters=self.folder("tree"), phases=phases)
        leaf = path_of((0,) * LEVELS, LEVELS, get_space(SPACE))
        known = {
            "paths": paths,
            "shuffled": replace(paths, shuffle_clusters=True),
            "untaught": replace(paths, follow_start=0.0),
            "at-once": replace(paths, phases=(*[0] * (LEVELS - 1), sum(phases))),
            "unified": replace(whole, checkpoint_steps=max(1, self.steps // LEAVES)),
            "equal": replace(
                start, space=f"{SPACE}[{leaf}]", epochs=self.start_epochs + self.epochs
            ),
            "half-all-steps": replace(start, epochs=ceil(self.start_epochs / 2)),
        }
        # Only who trains on a half writes its images.
        return known.get(name) or replace(start, data=str(self.half(HALVES.index(name))))

    def half(self, side: int) -> Path:
        """Returns the images of one half of the tree's leaves, as files."""
        return self.subset(f"half{side}", range(side * LEAVES // 2, (side + 1) * LEAVES // 2))

    def subset(self, name: str, leaves: Iterable[int]) -> Path:
        """Writes the images of some leaves as files, once."""
        folder = self.folder("images") / name
        if not folder.exists():
            source, clusters = open_source(self.images), read_clusters(self.folder("tree"))
            partial = folder.with_name(f"{name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            for index in np.flatnonzero(np.isin(clusters.leaves_N, list(leaves))):
                Image.fromarray(source.image(int(index))).save(partial / f"{index:06d}.png")
            partial.rename(folder)
        return folder

    def share(self, name: str, source: str) -> TrainOptions:
        """Options of the whole network on other images, for a leaf's share of the steps."""
        share = self.steps // LEAVES
        images = len(open_source(source))
        batch = min(self.batch, images // 2)
        options = self.start(self.folder(name))
        epochs = max(1, round(share / (images // batch)))
        warm = self.folder("whole")
        return replace(options, data=source, batch=batch, epochs=epochs, warm_start=warm)


def reduced(keep: Path, device: str) -> Study:
    """Returns a study of a few minutes, on images that everyone has."""
    digits = "sklearn:digits"
    tasks = {"digits": digits}
    return Study(keep, digits, tasks, tasks, 0, 2, 2, batch=64, device=device)


def studies(data: Path, keep: Path, device: str) -> Iterator[Study]:
    """Yields the study of each seed.

    Args:
        data: Folder with one for each of `SOURCES` and `TASKS`.
        keep: Folder for runs.
        device: Where runs train.
    """
    keep.mkdir(parents=True, exist_ok=True)
    together = keep / "pretraining"
    together.mkdir(exist_ok=True)
    for source in SOURCES:
        for shard in (data / source).glob("train-*.tar.gz"):
            link = together / f"{source}-{shard.name}"
            if not link.exists():
                link.symlink_to(shard.resolve())
    tasks = {name: str(data / name / "t*-*.tar.gz") for name in TASKS}
    unlabelled = {name: str(data / name / "train-*.tar.gz") for name in TASKS}
    for seed in SEEDS:
        yield Study(keep, str(together / "*.tar.gz"), tasks, unlabelled, seed, device=device)
