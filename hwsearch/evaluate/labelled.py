"""Labelled images of the target domain: what judges learn from and are asked about."""

import hashlib
from dataclasses import dataclass

import numpy as np

from hwsearch.data.sources import Source
from hwsearch.distance.images import TargetImages, load_target
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.folds import stratified_folds


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with one class each, in the fixed random order of target images.

    Attributes:
        target: The images, prepared for any input side.
        labels: Class of each image, 0 to C - 1, every class present, int64[N].
        classes: Names of the C classes.
    """

    target: TargetImages
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """Names the images, their order and their labels."""
        told = hashlib.sha256(np.ascontiguousarray(self.labels).tobytes()).hexdigest()
        return hashlib.sha256(f"{self.target.fingerprint}|{told}".encode()).hexdigest()

    def folds(self, count: int, seed: int = 0) -> np.ndarray:
        """Returns the fold of each image, 0 to count - 1; see `stratified_folds`.

        Raises:
            HwsearchError: If a class has fewer images than there are folds.
        """
        sizes = np.bincount(self.labels)
        if (fewest := int(sizes.min())) < count:
            raise HwsearchError(
                f"class '{self.classes[sizes.argmin()]}' has {fewest} labelled images, fewer than "
                f"{count} folds",
                where=self.target.source.name,
                fix=f"Use --folds {fewest}" if fewest > 1 else "Give more images of it",
            )
        return stratified_folds(self.labels, count, seed)


def load_labelled(source: str, side: int, *, limit: int | None = None) -> LabelledImages:
    """Reads labelled images.

    Args:
        source: What `--data` takes: a folder with a sub-folder a class, shards, or a built-in set.
        side: Height and width in pixels that they are prepared for first.
        limit: Most images; which are kept depends on the source alone.

    Raises:
        HwsearchError: If an image has no label, or all have the same.
    """
    target = load_target(source, side, limit=limit)
    labels = _labels(target.source, target.indices)
    present, labels = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise HwsearchError(
            f"all {len(labels)} images are of one class, and a judge needs two or more",
            where=source,
            fix="Put each class into a sub-folder of its own, or give shards with .cls members",
        )
    return LabelledImages(target, labels, tuple(target.source.classes[label] for label in present))


def _labels(source: Source, indices: np.ndarray) -> np.ndarray:
    """Returns the classes of images, int64[N]; refuses images without one."""
    labels = [source.label(int(index)) for index in indices]
    if without := sum(label is None for label in labels):
        raise HwsearchError(
            f"{without} of {len(labels)} images have no label",
            where=source.name,
            fix="Put each class into a sub-folder of its own, or give shards with .cls members",
        )
    return np.array(labels, dtype=np.int64)
