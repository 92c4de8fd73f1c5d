"""Nearest-neighbour classification of features: a judge that trains nothing."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwsearch.errors import HwsearchError

_RESAMPLES = 2000
_LEVEL = 95


@dataclass(frozen=True, eq=False)
class KnnResult:
    """How well nearest neighbours classify a set of images.

    Attributes:
        correct: Whether each test image was classified rightly, bool[N].
        seed: Chooses the bootstrap's resamples.
    """

    correct: np.ndarray
    seed: int = 0

    @property
    def accuracy(self) -> float:
        """Share of test images that were classified rightly, 0 to 1."""
        return float(self.correct.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of the accuracy, bootstrapped over test images."""
        return self._interval(self.correct.astype(float))

    def above(self, control: "KnnResult") -> tuple[float, float]:
        """Returns the 95 % interval of this accuracy minus a control's on the same test images."""
        return self._interval(self.correct.astype(float) - control.correct)

    def _interval(self, values: np.ndarray) -> tuple[float, float]:
        rng = np.random.default_rng(self.seed)
        drawn = rng.integers(len(values), size=(_RESAMPLES, len(values)))
        tail = (100 - _LEVEL) / 2
        low, high = np.percentile(values[drawn].mean(axis=1), (tail, 100 - tail))
        return float(low), float(high)


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: int = 5,
    *,
    seed: int = 0,
) -> KnnResult:
    """Classifies test images by the majority of their k nearest neighbours in cosine distance.

    Among classes with equally many neighbours, the one with the nearest neighbour wins.

    Args:
        train_features: float[M, E], or any shape that starts with M.
        train_labels: int[M], 0 or more.
        test_features: float[N, E], or any shape that starts with N.
        test_labels: int[N].
        k: Number of neighbours.
        seed: Chooses the bootstrap's resamples.

    Raises:
        HwsearchError: If there are fewer than k labelled images, no test images, a missing label
            or a feature that is not finite.
    """
    _check(train_features, train_labels, test_features, test_labels, k)
    votes = neighbour_votes(train_features, train_labels, test_features, k)
    return KnnResult(votes.argmax(axis=1) == np.asarray(test_labels), seed)


def neighbour_votes(
    train_features: np.ndarray, train_labels: np.ndarray, test_features: np.ndarray, k: int
) -> np.ndarray:
    """Counts the classes of the k nearest neighbours in cosine distance.

    Args:
        train_features: float[M, E], or any shape that starts with M.
        train_labels: int[M], 0 to C - 1.
        test_features: float[N, E], or any shape that starts with N.
        k: Number of neighbours, at most M.

    Returns:
        float[N, C]; a nearer neighbour's vote is a little heavier, never enough to outweigh
        another vote, so that among classes with equally many the nearest neighbour's wins.
    """
    from sklearn.neighbors import NearestNeighbors

    # Of unit vectors the nearest are those of the largest cosine, which takes five times longer.
    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(_rows(train_features))
    neighbours = index.kneighbors(_rows(test_features), return_distance=False)
    votes = np.zeros((len(test_features), int(np.max(train_labels)) + 1))
    for rank, labels in enumerate(np.asarray(train_labels)[neighbours].T):
        votes[np.arange(len(votes)), labels] += 1 + 2.0 ** -(rank + 1) / k
    return votes


def _rows(features: np.ndarray) -> np.ndarray:
    """Returns one vector of length 1 an image; one of zeros stays."""
    rows = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _check(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: int,
) -> None:
    if not 1 <= k <= len(train_labels):
        raise HwsearchError(
            f"{k} neighbours cannot be taken from {len(train_labels)} labelled images",
            fix=f"Use --k 1 to {len(train_labels)}",
        )
    if not len(test_labels):
        raise HwsearchError("there are no images to test on", fix="Give another --test")
    if min(np.min(train_labels), np.min(test_labels)) < 0:
        raise HwsearchError(
            "some images have no label", fix="Put each class into a sub-folder of its own"
        )
    if not (np.isfinite(train_features).all() and np.isfinite(test_features).all()):
        raise HwsearchError("some features are not finite", fix="Check the engine and the images")
