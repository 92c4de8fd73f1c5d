"""The verb cluster: a tree of clusters over unlabelled images, by the features of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from hwsearch.checkpoint import Run, load_run
from hwsearch.clusters.files import ASSIGNMENTS, FILE, KIND, splits_of, write_assignments
from hwsearch.clusters.tree import ClusterTree, Split, grow_tree, name_of
from hwsearch.config import check_config, write_config
from hwsearch.data.draws import permutation
from hwsearch.data.sources import Source, open_source
from hwsearch.distance import load_target
from hwsearch.distance.students import CALIBRATION_IMAGES
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.nn import StaticNet, calibrate
from hwsearch.nn.place import Device, find_place
from hwsearch.progress import console, say, track
from hwsearch.routing.features import write_features
from hwsearch.routing.norms import write_norms
from hwsearch.routing.sheet import COLUMNS, ROWS, write_sheet
from hwsearch.selfsup.base import Weights
from hwsearch.space import Subnet

CONFIG = "config.toml"


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """What to cluster, and into how much."""

    checkpoint: Path
    """Folder that hwsearch train wrote: its features tell which images are alike."""

    images: str
    """Unlabelled images: a folder, tar shards or sklearn:digits."""

    out: Path
    """Folder of the tree; the same command goes on where it was stopped."""

    children: int = 4
    """Clusters that each node is split into; all of one node hold equally many images."""

    levels: int = 2
    """Splits from the root to a leaf: 4 children and 2 levels make 16 leaves."""

    subnet: str = "max"
    """Network of the checkpoint that gives the features: max, min or NAME=NUMBER,NAME=NUMBER."""

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
        for name, least in (("children", 2), ("levels", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise HwsearchError(f"--{name} {getattr(self, name)} is less than {least}")
        if self.children**self.levels > 4096:
            raise HwsearchError(
                f"--children {self.children} and --levels {self.levels} make "
                f"{self.children**self.levels} leaves, more than 4096",
                fix="Use fewer",
            )


def cluster(options: ClusterOptions) -> ClusterTree:
    """Computes features, grows the tree, and writes assignments and a contact sheet a leaf.

    Returns:
        The tree.

    Raises:
        HwsearchError: If something is missing or does not fit, there are too few images, or the
            folder holds another tree or the config file of another command.
    """
    check_config(options.out / CONFIG, options)
    source, run = open_source(options.images), load_run(options.checkpoint)
    subnet = run.space.parse(options.subnet)
    net = _network(run, subnet, options)
    with Journal.open(options.out / FILE, KIND, _header(options, source, run, subnet)) as journal:
        if journal.repaired:
            say(journal.repaired)
        write_norms(net, options.out)
        write_config(options.out / CONFIG, options, ("torch", "numpy", "scikit-learn"))
        features_NE = write_features(
            source,
            net,
            options.out,
            journal,
            place=find_place(options.device),
            max_corrupt=options.max_corrupt_share,
        )
        tree = _grow(options, features_NE, journal)
    leaves_N = tree.leaf_numbers(features_NE)
    names = map(source.sample_name, range(len(source)))
    write_assignments(options.out / ASSIGNMENTS, names, tree, leaves_N)
    _write_sheets(source, tree, leaves_N, options)
    _show(tree)
    console.print(f"All of it: {options.out}", markup=False)
    return tree


def _network(run: Run, subnet: Subnet, options: ClusterOptions) -> StaticNet:
    """Extracts the network and calibrates it on a random part of the images."""
    net = run.supernet(options.weights).extract(subnet)
    side = net.lowered[0].in_side
    target = load_target(options.images, side, limit=CALIBRATION_IMAGES)
    return calibrate(net, map(torch.from_numpy, target.inputs(side)))


def _header(options: ClusterOptions, source: Source, run: Run, subnet: Subnet) -> dict[str, Any]:
    return {
        "checkpoint": run.fingerprint,
        "images": source.fingerprint(),
        "subnet": str(subnet),
        "weights": options.weights,
        "place": find_place(options.device),
        "children": options.children,
        "levels": options.levels,
        "seed": options.seed,
    }


def _grow(options: ClusterOptions, features_NE: np.ndarray, journal: Journal) -> ClusterTree:
    known = splits_of(journal.rows)
    total = sum(options.children**level for level in range(options.levels))
    with track("split", total, start=len(known)) as advance:

        def record(split: Split) -> None:
            journal.append(split.as_row())
            advance(note=name_of(split.node))

        return grow_tree(
            features_NE,
            children=options.children,
            levels=options.levels,
            seed=options.seed,
            usable_N=np.isfinite(features_NE[:, 0]),
            known=known,
            record=record,
        )


def _write_sheets(
    source: Source, tree: ClusterTree, leaves_N: np.ndarray, options: ClusterOptions
) -> None:
    """Draws random images of each leaf, some more than fit in case that some cannot be read."""
    with track("contact sheets", len(tree.leaves)) as advance:
        for number, leaf in enumerate(tree.leaves):
            rows = np.flatnonzero(leaves_N == number)
            drawn = rows[permutation(len(rows), options.seed, number)[: 2 * COLUMNS * ROWS]]
            write_sheet(source, drawn.tolist(), options.out / "sheets" / f"{name_of(leaf)}.png")
            advance()


def _show(tree: ClusterTree) -> None:
    table = Table(
        title=f"{len(tree.leaves)} leaves",
        caption="balance: smallest child over largest; silhouette: how much nearer images are to "
        "their own centroid than to the next, -1 to 1",
    )
    for heading in ("node", "images", "smallest child", "balance", "silhouette"):
        table.add_column(heading, justify="left" if heading == "node" else "right")
    for node, split in sorted(tree.splits.items(), key=lambda item: (len(item[0]), item[0])):
        told = (sum(split.sizes), min(split.sizes), f"{split.balance:.2f}")
        table.add_row(name_of(node), *map(str, told), f"{split.silhouette:.2f}")
    console.print(table)
