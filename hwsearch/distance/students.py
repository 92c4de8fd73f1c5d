"""Students: the networks of a supernet, as they give features of the target images."""

import hashlib
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from hwsearch.checkpoint import Run
from hwsearch.data.prepare import MEAN, STD
from hwsearch.distance.images import BATCH, TargetImages
from hwsearch.errors import HwsearchError
from hwsearch.nn import StaticNet, calibrate
from hwsearch.nn.features import Features
from hwsearch.nn.place import Place, compute_repeatably
from hwsearch.nn.rounded import RANGE_IMAGES, rounded
from hwsearch.selfsup.base import Weights
from hwsearch.space import Space, Subnet
from hwsearch.spaces.precisions import FULL, network_of, precision_of

REMEMBERED_BYTES = 128 * 2**20
"""Most memory for what the last network said."""

CALIBRATION_IMAGES = 512
"""Most target images that batch norms are calibrated on."""


class Students(Protocol):
    """Networks that can be compared, each on images of its own side."""

    @property
    def space(self) -> Space:
        """Returns the space of the networks."""
        ...

    @property
    def images(self) -> TargetImages:
        """Returns the images that the networks look at."""
        ...

    @property
    def place(self) -> Place:
        """Returns where the networks compute; what a GPU gives differs in the last digits."""
        ...

    @property
    def origin(self) -> dict[str, Any]:
        """Returns what names the weights of all networks, for the header of a journal."""
        ...

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's features depend on."""
        ...

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes one network's pooled features of the images, float32[N, E]."""
        ...


@runtime_checkable
class SeenStudents(Students, Protocol):
    """Networks whose feature maps can be seen, not their pooled features alone."""

    @property
    def levels(self) -> int:
        """Returns how many feature maps each network shows."""
        ...

    def observe(self, subnet: Subnet) -> Iterator[Features]:
        """Yields what one network says of the images, batch by batch."""
        ...


def seen_students(students: Students) -> SeenStudents:
    """Returns networks whose feature maps can be seen.

    Raises:
        HwsearchError: If they cannot.
    """
    if isinstance(students, SeenStudents):
        return students
    raise HwsearchError(
        "ready models show no feature maps, which a dense task compares",
        where=students.space.name,
        fix="Use --task classification, or search a supernet",
    )


class SupernetStudents:
    """Networks extracted from a supernet and calibrated on the images.

    Every network is calibrated on the same first images, in the same batches.

    Args:
        run: A training run.
        images: Of the target domain.
        weights: "online" or "ema": which of the run's weights.
        calibration_images: How many of the images batch norms are calibrated on, in equal batches
            of `BATCH` images at most; what is left over is left out.
        space: The run's, perhaps with precisions: networks then compute as engines of theirs do.
        half_range: Whether weights of int8 engines keep to half their range.
        place: Where the networks compute.

    Attributes:
        remembers: Whether what the last network says is kept, if it takes `REMEMBERED_BYTES` at
            most: for several distances that are asked of each network in turn.
    """

    remembers: bool = False

    def __init__(
        self,
        run: Run,
        images: TargetImages,
        *,
        weights: Weights = "online",
        calibration_images: int = CALIBRATION_IMAGES,
        space: Space | None = None,
        half_range: bool = False,
        place: Place = "cpu",
    ) -> None:
        self.run, self.images, self.space = run, images, space or run.space
        self.weights: Weights = weights
        self.half_range = half_range
        self.place: Place = place
        compute_repeatably(place)
        self._asked = calibration_images
        self._last: tuple[Subnet, list[Features]] | None = None
        count = min(calibration_images, len(images))
        batches = ceil(count / BATCH)
        self.calibration_batch = count // batches
        self.calibration_images = batches * self.calibration_batch

    @property
    def origin(self) -> dict[str, Any]:
        """Returns the checkpoint, which weights of it, and what calibrates each network."""
        calibration = {"images": self.calibration_images, "batch": self.calibration_batch}
        return {
            "checkpoint": self.run.fingerprint,
            "weights": self.weights,
            "calibration": calibration,
        }

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's features depend on."""
        # Last digits differ from those of networks whose batch norms are not folded.
        how = (self._asked, BATCH, self.images.batch, "folded")
        network, precision = network_of(self.space, subnet), precision_of(self.space, subnet)
        lower = () if precision == FULL else (precision, RANGE_IMAGES, self.half_range)
        return hash_of_parts(self.run.fingerprint, self.weights, network, MEAN, STD, *how, *lower)

    @property
    def levels(self) -> int:
        """How many feature maps each network shows."""
        return sum(block.tap is not None for block in self.space.lower(self.space.maximum))

    @property
    def has_projections(self) -> bool:
        """Whether a projection head was trained with the networks."""
        return self.run.method.encoder(self.weights).has_head

    def network(self, subnet: Subnet) -> StaticNet:
        """Extracts a network and calibrates it, in fp32."""
        return self.calibrated(
            self.run.supernet(self.weights).extract(network_of(self.space, subnet))
        )

    def calibrated(self, net: StaticNet) -> StaticNet:
        """Puts an extracted network where all compute, and calibrates it on the first images."""
        side, count = net.lowered[0].in_side, self.calibration_images
        inputs = self.images.inputs(side, batch=self.calibration_batch, limit=count)
        return calibrate(net.to(self.place), map(self.placed, inputs))

    def placed(self, inputs_NCHW: np.ndarray) -> Tensor:
        """Puts images where the networks compute."""
        return torch.from_numpy(inputs_NCHW).to(self.place)

    def student(self, subnet: Subnet) -> StaticNet:
        """Returns the same as it computes in its precision, batch norms in its convolutions."""
        net = self.network(subnet)
        inputs = self.images.inputs(net.lowered[0].in_side, limit=RANGE_IMAGES)
        precision = precision_of(self.space, subnet)
        return rounded(net, precision, map(self.placed, inputs), half_range=self.half_range)

    def observe(self, subnet: Subnet) -> Iterator[Features]:
        """Yields what one network says of the images, batch by batch."""
        if self._last is not None and self._last[0] == subnet:
            yield from self._last[1]
            return
        kept: list[Features] | None = [] if self.remembers else None
        for features in self.observe_net(self.student(subnet)):
            yield features
            if kept is not None:
                kept = [*kept, features] if _bytes(kept) < REMEMBERED_BYTES else None
        if kept is not None:
            self._last = (subnet, kept)

    @torch.no_grad()
    def observe_net(self, net: StaticNet) -> Iterator[Features]:
        """Yields what an extracted and calibrated network says of the images."""
        for x_NCHW in self.images.inputs(net.lowered[0].in_side):
            yield net(self.placed(x_NCHW))

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes one network's pooled features of the images, float32[N, E]."""
        return pooled(self.observe(subnet))

    @torch.no_grad()
    def project(self, embeddings_NE: np.ndarray) -> Tensor:
        """Projects one network's pooled features as in training, L2-normalised.

        Batch norms of the head, where it has any, take the statistics of these features, as those
        of the network take the statistics of these images.
        """
        # Copied: a product of equal matrices is equal to the last bit only in memory aligned alike.
        return self.run.method.encoder(self.weights).project(torch.tensor(embeddings_NE))


def pooled(observed: Iterable[Features]) -> np.ndarray:
    """Gathers the pooled features of all batches, float32[N, E]."""
    return torch.cat([features.embedding for features in observed]).cpu().numpy()


def _bytes(observed: list[Features]) -> int:
    """Returns what the maps of some batches take; other outputs are small beside them."""
    return sum(level.nbytes for features in observed for level in features.levels)


def check_finite(features: np.ndarray, whose: str) -> None:
    """Refuses features that are not numbers.

    Raises:
        HwsearchError: If one is infinite or no number.
    """
    if not np.isfinite(features).all():
        raise HwsearchError(
            f"some features that {whose} gives for the target images are not finite",
            fix="Check its weights; training may have diverged",
        )


def hash_of_parts(*parts: object) -> str:
    """Names what the parts are, in order."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
