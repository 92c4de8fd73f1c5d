import numpy as np
import pytest

from hwsearch.errors import HwsearchError
from hwsearch.knn import KnnResult, knn_accuracy

ANGLES = np.radians([0, 10, 20, 80, 90, 100])
TRAIN = np.stack((np.cos(ANGLES), np.sin(ANGLES)), axis=1)
LABELS = np.array([1, 1, 1, 0, 0, 0])


def at(*degrees: float) -> np.ndarray:
    return np.stack((np.cos(np.radians(degrees)), np.sin(np.radians(degrees))), axis=1)


def test_majority_by_cosine_whatever_the_length():
    result = knn_accuracy(TRAIN, LABELS, 50 * at(12, 88, 30), np.array([1, 0, 0]), k=3)
    assert result.correct.tolist() == [True, True, False]
    assert result.accuracy == pytest.approx(2 / 3)


def test_ties_go_to_the_nearest_neighbour():
    # Four neighbours, two of each class: the nearest is at 20 and at 80 degrees.
    result = knn_accuracy(TRAIN, LABELS, at(49, 51), np.array([1, 0]), k=4)
    assert result.correct.all()


def test_interval_and_paired_difference():
    rng = np.random.default_rng(0)
    better, worse = KnnResult(rng.random(400) < 0.8), KnnResult(rng.random(400) < 0.3)
    low, high = better.interval
    assert low < better.accuracy < high
    assert high - low == pytest.approx(2 * 1.96 * 0.4 / 20, rel=0.15)
    assert better.above(worse)[0] > 0.3
    assert better.above(better) == (0, 0)


def test_what_cannot_be_judged_is_told():
    with pytest.raises(HwsearchError, match="7 neighbours"):
        knn_accuracy(TRAIN, LABELS, TRAIN, LABELS, k=7)
    with pytest.raises(HwsearchError, match="no label"):
        knn_accuracy(TRAIN, LABELS - 1, TRAIN, LABELS)
    with pytest.raises(HwsearchError, match="not finite"):
        knn_accuracy(TRAIN, LABELS, TRAIN * np.nan, LABELS)
