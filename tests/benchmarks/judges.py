"""Judges of frozen features on labelled images: nearest neighbours and a linear classifier."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hwsearch.data.images import ImageSet, load_images, normalise
from hwsearch.data.sources import open_source
from hwsearch.knn import knn_accuracy
from hwsearch.nn import StaticNet, calibrate

BATCH, CALIBRATION, NEIGHBOURS = 250, 500, 20
PENALTIES = tuple(10.0**power for power in range(-1, 6))


class Judge:
    """Classifies the images of test-* by the features and labels of train-*.

    Args:
        data: Folder of both.
        side: Height and width of the images in pixels.
    """

    def __init__(self, data: Path, side: int) -> None:
        self._train, self._test = (
            load_images(open_source(str(data / f"{part}-*.tar.gz")), side)
            for part in ("train", "test")
        )

    def __call__(self, net: StaticNet) -> dict[str, float]:
        """Calibrates a network on training images and returns the accuracy by judge."""
        self.calibrated(net)
        (train, labels), (test, expected) = (
            (features(net, images), images.labels.numpy()) for images in (self._train, self._test)
        )
        linear = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES)).fit(train, labels)
        nearest = knn_accuracy(train, labels, test, expected, NEIGHBOURS)
        return {
            "knn": nearest.accuracy,
            "linear": float((linear.predict(test) == expected).mean()),
        }

    def calibrated(self, net: StaticNet) -> StaticNet:
        """Gives a network the batch-norm statistics of the first training images."""
        return calibrate(net, map(normalise, self._train.images[:CALIBRATION].split(BATCH)))


@torch.inference_mode()
def features(net: StaticNet, images: ImageSet) -> np.ndarray:
    """Computes the pooled features float32[N, E] of a calibrated network."""
    chunks = images.images.split(BATCH)
    return np.concatenate([net(normalise(chunk)).embedding.numpy() for chunk in chunks])


def paired(found: pd.DataFrame, first: str, second: str, size: str, judge: str) -> str:
    """Compares two units of equal seeds; the interval is a bootstrap over seeds."""
    both = [
        found[(found["unit"] == unit) & (found["size"] == size)].set_index("seed")[judge]
        for unit in (first, second)
    ]
    gains = 100 * (both[0] - both[1]).dropna().to_numpy()
    if not len(gains):
        return f"{first} less {second}, {size}, {judge}: no pair of seeds yet"
    drawn = np.random.default_rng(0).choice(gains, (10_000, len(gains))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return (
        f"{first} less {second}, {size}, {judge}: {gains.mean():+.1f} points "
        f"({low:+.1f} to {high:+.1f}, {len(gains)} seeds)"
    )
