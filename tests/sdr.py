"""What paths need, small: images of four kinds, a run of the whole network on them, their tree."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from runs import small_options
from tiny_space import NAME

from hwsearch.routing.cluster import ClusterOptions, cluster
from hwsearch.selfsup.settings import DEFAULTS
from hwsearch.train import TrainOptions, train

SPACE, BATCH = f"{NAME}^2", 8
SMALL = {"projection_hidden": 16, "projection": 8, "predictor_hidden": 8}
KINDS = ((1, 0, 0), (1, 0, 1), (0, 1, 0), (0, 1, 1))
"""Colours of images, two and two alike."""


def write_kinds(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Writes so many images of each kind, 8×8 pixels, with a sub-folder a kind."""
    rng = np.random.default_rng(seed)
    for number, colour in enumerate(KINDS):
        (folder / f"kind{number}").mkdir(parents=True)
        for index in range(count):
            noise = rng.integers(0, 100, (8, 8, 3))
            pixels = (np.array(colour) * rng.integers(100, 150) + noise).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"kind{number}" / f"{index:02d}.png")
    return folder


def whole_options(images: Path, out: Path, method: str = "simsiam", **changes) -> TrainOptions:
    """Returns options of the run on all images that paths start from."""
    heads = {name: value for name, value in SMALL.items() if name in DEFAULTS[method]}
    given = {"space": f"{SPACE}[max]", "method": method, "epochs": 2, **heads, **changes}
    return small_options(images, out, **given, residual_scale=1.0)


def path_options(whole: TrainOptions, clusters: Path, out: Path, **changes) -> TrainOptions:
    """Returns options of the paths that go on from it, two epochs a level."""
    given = {"out": out, "space": SPACE, "warm_start": whole.out, "clusters": clusters, "epochs": 4}
    return replace(whole, **(given | changes))


def make(folder: Path, method: str = "simsiam") -> TrainOptions:
    """Writes images, the run of the whole network and its tree; returns the options of the run."""
    images = write_kinds(folder / "images", 20)
    whole = whole_options(images, folder / "whole", method)
    train(whole)
    cluster(
        ClusterOptions(
            checkpoint=whole.out, images=whole.data, out=folder / "tree", children=2, levels=2
        )
    )
    return whole
