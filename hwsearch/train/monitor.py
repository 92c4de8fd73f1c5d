"""The monitor of a run: how well nearest neighbours classify labelled images, every few epochs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hwsearch.data.draws import permutation
from hwsearch.data.images import load_images, normalise
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError
from hwsearch.knn import knn_accuracy
from hwsearch.nn import calibrate
from hwsearch.nn.supernet import resized
from hwsearch.selfsup.base import Method
from hwsearch.space import Space, Subnet
from hwsearch.train.hardware import Hardware

NEIGHBOURS = 5
_BATCH = 256


class Monitor:
    """Labelled images that judge the largest, the smallest and one random network of a run.

    Labels judge only; nothing is learned from them. Each network is extracted with the weights of
    the moment, its batch norms are calibrated on all images, and each half of the images is
    classified by its nearest neighbours in the other half.

    Args:
        source: Labelled images.
        space: The space that is trained.
        hardware: Where to compute; the arithmetic is fp32.
        limit: Most images to use.
        seed: Chooses those images, their halves and the random network.
        max_corrupt_share: Share of images that may be corrupt.

    Raises:
        HwsearchError: If images have no labels, all have the same, or there are too few.
    """

    def __init__(
        self,
        source: Source,
        space: Space,
        hardware: Hardware,
        *,
        limit: int,
        seed: int,
        max_corrupt_share: float,
    ) -> None:
        self._device = torch.device(hardware.device)
        self._subnets: Mapping[str, Subnet] = {
            "max": space.maximum,
            "min": space.minimum,
            "random": space.sample(np.random.default_rng(seed)),
        }
        found = load_images(
            source,
            space.input_shape[1],
            limit=limit,
            seed=seed,
            max_corrupt_share=max_corrupt_share,
        )
        order = permutation(len(found.images), seed)
        self._images, self._labels = found.images[order], found.labels.numpy()[order]
        _check(source, self._labels)

    def judge(self, method: Method) -> dict[str, float]:
        """Returns "knn_max", "knn_min" and "knn_random", the accuracies, 0 to 1.

        Neither the method nor any random state is changed.
        """
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            return {
                f"knn_{role}": self._accuracy(self._features(method, subnet))
                for role, subnet in self._subnets.items()
            }

    @torch.no_grad()
    def _features(self, method: Method, subnet: Subnet) -> np.ndarray:
        """Computes the embeddings [N, E] of all images."""
        backbone = method.embedder(subnet).backbone
        side, chunks = backbone.lowered[0].in_side, self._images.split(_BATCH)
        calibrate(backbone, (self._input(chunk, side) for chunk in chunks))
        found = [backbone(self._input(chunk, side)).embedding for chunk in chunks]
        return torch.cat(found).cpu().numpy()

    def _input(self, images: Tensor, side: int) -> Tensor:
        """Returns what a network of a side sees: images scaled as those it was trained on."""
        return resized(normalise(images.to(self._device)), side)

    def _accuracy(self, features: np.ndarray) -> float:
        halves = np.array_split(np.arange(len(features)), 2)
        correct = [
            knn_accuracy(
                features[known],
                self._labels[known],
                features[asked],
                self._labels[asked],
                NEIGHBOURS,
            ).correct
            for known, asked in (halves, halves[::-1])
        ]
        return float(np.concatenate(correct).mean())


def _check(source: Source, labels: np.ndarray) -> None:
    if len(labels) < 2 * NEIGHBOURS:
        raise HwsearchError(
            f"{len(labels)} images are too few to monitor with",
            where=source.name,
            fix=f"Give --monitor {2 * NEIGHBOURS} or more, and --monitor-images likewise",
        )
    if labels.min() < 0 or labels.min() == labels.max():
        raise HwsearchError(
            "a monitor needs labelled images of two classes or more",
            where=source.name,
            fix="Put each class into a sub-folder of its own, or give shards with .cls members",
        )
