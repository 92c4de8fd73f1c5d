"""What `hwsearch cluster` leaves in a folder: the journal of a tree, and the leaf of each image."""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hwsearch.clusters.tree import ClusterTree, Node, Split, name_of
from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal, write_atomic

FILE, KIND, ASSIGNMENTS = "tree.jsonl", "cluster-tree", "assignments.csv"


@dataclass(frozen=True, eq=False)
class Clusters:
    """A finished tree and the images that it was grown on.

    Attributes:
        folder: Where it lies.
        tree: The tree.
        leaves_N: Leaf of each image of the source by its place in `ClusterTree.leaves`, -1 where
            an image cannot be read, int64[N].
        checkpoint: SHA-256 of the checkpoint whose features were clustered.
        weights: Which of its weights: "online" or "ema".
        subnet: Which of its networks.
        images: Fingerprint of the source.
        fingerprint: SHA-256 of what the tree was made of and how, and of its splits.
    """

    folder: Path
    tree: ClusterTree
    leaves_N: np.ndarray
    checkpoint: str
    weights: Literal["online", "ema"]
    subnet: str
    images: str
    fingerprint: str

    def check_made_by(self, checkpoint: str, run: Path) -> None:
        """Refuses a checkpoint whose features did not make the tree.

        Args:
            checkpoint: SHA-256 of the file.
            run: Where it is from, for the error.

        Raises:
            HwsearchError: If it is another one.
        """
        if checkpoint != self.checkpoint:
            raise HwsearchError(
                f"the tree was made with the features of another checkpoint than {run} has",
                where=self.folder,
                fix="Make one for it: hwsearch cluster --checkpoint RUN",
            )


def read_clusters(folder: Path) -> Clusters:
    """Reads a finished tree and the leaf of each of its images.

    Raises:
        HwsearchError: If there is none, or it is not finished.
    """
    tree, (header, _) = read_tree(folder), read_journal(folder / FILE, KIND)
    return Clusters(
        folder=folder,
        tree=tree,
        leaves_N=_read_assignments(folder / ASSIGNMENTS, tree),
        checkpoint=header["checkpoint"],
        weights=header["weights"],
        subnet=header["subnet"],
        images=header["images"],
        fingerprint=_fingerprint(header, tree),
    )


def _fingerprint(header: Mapping[str, Any], tree: ClusterTree) -> str:
    """Names a tree by what it is: its journal also tells how often features were computed."""
    splits = [tree.splits[node].as_row() for node in sorted(tree.splits)]
    return hashlib.sha256(json.dumps([header, splits], sort_keys=True).encode()).hexdigest()


def read_tree(folder: Path) -> ClusterTree:
    """Reads a finished tree.

    Raises:
        HwsearchError: If there is none, or it is not finished.
    """
    header, rows = read_journal(folder / FILE, KIND)
    splits = splits_of(rows)
    needed = sum(header["children"] ** level for level in range(header["levels"]))
    if len(splits) < needed:
        raise HwsearchError(
            f"the tree has {len(splits)} of {needed} splits",
            where=folder,
            fix="Run the same hwsearch cluster again",
        )
    return ClusterTree(header["children"], header["levels"], splits)


def splits_of(rows: Iterable[Mapping[str, Any]]) -> dict[Node, Split]:
    """Returns the splits among the rows of a tree's journal, by node."""
    found = [Split.from_row(row) for row in rows if "node" in row]
    return {split.node: split for split in found}


def write_assignments(
    path: Path, images: Iterable[str], tree: ClusterTree, leaves_N: np.ndarray
) -> None:
    """Writes name and leaf of each image, in the order of the source."""
    names = [*map(name_of, tree.leaves), ""]  # the last is that of -1
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "leaf"])
    writer.writerows([image, names[leaf]] for image, leaf in zip(images, leaves_N, strict=True))
    write_atomic(path, text.getvalue())


def _read_assignments(path: Path, tree: ClusterTree) -> np.ndarray:
    numbers = {name_of(leaf): number for number, leaf in enumerate(tree.leaves)} | {"": -1}
    try:
        with path.open(newline="") as file:
            return np.array([numbers[row["leaf"]] for row in csv.DictReader(file)], dtype=np.int64)
    except (OSError, KeyError) as cause:
        raise HwsearchError(
            "the leaves of the images cannot be read",
            where=path,
            fix="Run the same hwsearch cluster again",
        ) from cause
