"""Label-free distance of a subnet to the teacher: the supernet's maximum, on target images.

Student and teacher come from the same weights and are calibrated on the same images, so the
distance of the maximum to itself is exactly 0 (DATA, arXiv 2203.09041). Lower is better.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hwsearch.checkpoint import Run
from hwsearch.data.images import load_images, normalise
from hwsearch.data.prepare import MEAN, STD
from hwsearch.data.sources import open_source
from hwsearch.journal import write_atomic
from hwsearch.nn import StaticNet, calibrate
from hwsearch.selfsup.base import Weights
from hwsearch.space import Subnet


@dataclass(frozen=True)
class TargetImages:
    """Unlabelled images of the domain that the engine will see.

    Attributes:
        normalised_BCHW: Float images as the networks take them.
        fingerprint: Names the images and their preprocessing.
    """

    normalised_BCHW: Tensor
    fingerprint: str


def load_target(source: str, side: int, *, limit: int | None = None) -> TargetImages:
    """Reads images of the target domain as the networks take them.

    Args:
        source: What `--images` takes: a folder, tar shards or a built-in set.
        side: Height and width in pixels.
        limit: Largest number of images; which are kept depends on the source alone.
    """
    opened = open_source(source)
    found = load_images(opened, side, limit=limit)
    kept = hashlib.sha256(found.indices.numpy().tobytes()).hexdigest()
    parts = (opened.fingerprint(), kept, str(side), str(MEAN), str(STD))
    return TargetImages(
        normalise(found.images), hashlib.sha256("|".join(parts).encode()).hexdigest()
    )


def cosine_distance(student_BD: Tensor, teacher_BD: Tensor) -> float:
    """Mean of 1 − cos over images, computed as half the squared distance of unit vectors.

    That form is exactly 0 for equal inputs, which 1 − cos is not in floating point.

    Args:
        student_BD: L2-normalised projections.
        teacher_BD: L2-normalised projections of the same images.
    """
    return float((student_BD - teacher_BD).square().sum(1).mean() / 2)


class TeacherDistance:
    """Distance of subnets to the teacher at the maximum, for classification.

    Args:
        run: A training run.
        images: Target-domain images; they calibrate every network and are what is compared.
        weights: "online" or "ema": the weight set that student and teacher share.
        cache: Folder that keeps the teacher's projections, or None to keep none.
        batch: Images a pass.
    """

    def __init__(
        self,
        run: Run,
        images: TargetImages,
        *,
        weights: Weights = "online",
        cache: Path | None = None,
        batch: int = 256,
    ) -> None:
        self.run, self.images, self.batch = run, images, batch
        self.weights: Weights = weights
        self._projector = run.method.encoder(weights).projector
        self._teacher_BD = self._cached_teacher(cache)

    def __call__(self, subnet: Subnet) -> float:
        """Returns the distance of a subnet, at least 0."""
        return self.of_embeddings(self._embeddings(self.network(subnet)))

    def network(self, subnet: Subnet) -> StaticNet:
        """Extracts a subnet, calibrated on the target images."""
        net = self.run.supernet(self.weights).extract(subnet)
        return calibrate(net, self.images.normalised_BCHW, batch=self.batch)

    @torch.no_grad()
    def of_embeddings(self, embeddings_BE: Tensor) -> float:
        """Returns the distance of pooled features, of a network or of an engine.

        Args:
            embeddings_BE: Output for the target images, in their order.
        """
        return cosine_distance(self._projector(embeddings_BE), self._teacher_BD)

    @torch.no_grad()
    def _embeddings(self, net: StaticNet) -> Tensor:
        chunks = self.images.normalised_BCHW.split(self.batch)
        return torch.cat([net(chunk).embedding for chunk in chunks])

    @torch.no_grad()
    def _project_teacher(self) -> Tensor:
        return self._projector(self._embeddings(self.network(self.run.space.maximum)))

    def _cached_teacher(self, cache: Path | None) -> Tensor:
        if cache is None:
            return self._project_teacher()
        parts = (self.run.fingerprint, self.images.fingerprint, self.weights, str(self.batch))
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
        path = cache / f"teacher-{key}.safetensors"
        try:
            return load_file(path)["projection"]
        except (FileNotFoundError, SafetensorError, KeyError):
            projection = self._project_teacher()
        cache.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save({"projection": projection.contiguous()}))
        return projection
