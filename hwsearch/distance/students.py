"""Students: whatever gives embeddings of the target images for the networks of a space."""

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hwsearch.checkpoint import Run
from hwsearch.data.prepare import MEAN, STD
from hwsearch.distance.images import BATCH, TargetImages
from hwsearch.nn import StaticNet, calibrate
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.embed import embed_all
from hwsearch.selfsup.base import Weights
from hwsearch.space import Space, Subnet
from hwsearch.spaces.catalogue import Catalogue, OnnxModel


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
    def origin(self) -> dict[str, Any]:
        """Returns what names the weights of all networks, for the header of a journal."""
        ...

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's embeddings depend on."""
        ...

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes one network's pooled features of the images, float32[N, E]."""
        ...


class SupernetStudents:
    """Networks extracted from a supernet and calibrated on the images.

    Args:
        run: A training run.
        images: Of the target domain.
        weights: "online" or "ema": which of the run's weights.
    """

    def __init__(self, run: Run, images: TargetImages, *, weights: Weights = "online") -> None:
        self.run, self.images, self.space = run, images, run.space
        self.weights: Weights = weights

    @property
    def origin(self) -> dict[str, Any]:
        """Returns the checkpoint and which weights of it."""
        return {"checkpoint": self.run.fingerprint, "weights": self.weights}

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's embeddings depend on."""
        return _hash(self.run.fingerprint, self.weights, subnet, MEAN, STD, BATCH)

    @property
    def has_projections(self) -> bool:
        """Whether a projection head was trained with the networks."""
        return self.run.method.encoder(self.weights).has_head

    def network(self, subnet: Subnet) -> StaticNet:
        """Extracts a network and calibrates it."""
        net = self.run.supernet(self.weights).extract(subnet)
        return calibrate(net, self._inputs(net))

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes one network's pooled features of the images, float32[N, E]."""
        return self.embeddings_of(self.network(subnet))

    @torch.no_grad()
    def embeddings_of(self, net: StaticNet) -> np.ndarray:
        """Computes the pooled features of an extracted and calibrated network, float32[N, E]."""
        return torch.cat([net(x).embedding for x in self._inputs(net)]).numpy()

    @torch.no_grad()
    def project(self, embeddings_NE: np.ndarray) -> Tensor:
        """Projects one network's pooled features of all images as in training, L2-normalised.

        Batch norms of the head, where it has any, take the statistics of these features, as those
        of the network take the statistics of these images.
        """
        return self.run.method.encoder(self.weights).project(torch.from_numpy(embeddings_NE))

    def _inputs(self, net: StaticNet) -> Iterator[Tensor]:
        return map(torch.from_numpy, self.images.inputs(net.lowered[0].in_side))


class CatalogueStudents:
    """Ready networks, run as they are by ONNX Runtime.

    Args:
        catalogue: The networks.
        images: Of the target domain; each network's own preprocessing normalises them.
    """

    def __init__(self, catalogue: Catalogue, images: TargetImages) -> None:
        self.space, self.images = catalogue, images

    @property
    def origin(self) -> dict[str, Any]:
        """Returns a hash of each model and its preprocessing."""
        return {"models": {name: _hash_of(model) for name, model in self.space.models.items()}}

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's embeddings depend on."""
        return _hash_of(self.space.model(subnet))

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes one network's pooled features of the images, float32[N, E]."""
        model = self.space.model(subnet)
        options = LoadOptions(threads=torch.get_num_threads())
        with get_runtime("onnxruntime").load(model.path, options) as engine:
            inputs = self.images.inputs(model.side, mean=model.mean, std=model.std)
            return embed_all(
                engine,
                inputs,
                input_name=model.input_name,
                output_name=model.output_name,
                batch=model.batch,
            )


def _hash_of(model: OnnxModel) -> str:
    return _hash(model.sha256, model.mean, model.std)


def _hash(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
