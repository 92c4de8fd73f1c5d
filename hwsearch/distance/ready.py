"""Students that are ready as they are: a catalogue's models, and one network from elsewhere."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hwsearch.distance.images import TargetImages
from hwsearch.distance.students import hash_of_parts, pooled
from hwsearch.nn.features import Features
from hwsearch.nn.place import Place
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.embed import embed_all
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.space import Space, Subnet
from hwsearch.spaces.catalogue import Catalogue, OnnxModel


class CatalogueStudents:
    """Ready networks, run as they are by ONNX Runtime.

    Args:
        catalogue: The networks.
        images: Of the target domain; each network's own preprocessing normalises them.
    """

    place: Place = "cpu"

    def __init__(self, catalogue: Catalogue, images: TargetImages) -> None:
        self.space, self.images = catalogue, images

    @property
    def origin(self) -> dict[str, Any]:
        """Returns a hash of each model and its preprocessing."""
        return {"models": {name: _hash_of(model) for name, model in self.space.models.items()}}

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that one network's features depend on."""
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


class ExternalStudents:
    """One network from elsewhere, whatever subnet is asked for: a teacher.

    Args:
        network: The network.
        space: Of the networks that are compared with it.
        images: Of the target domain.
    """

    place: Place = "cpu"

    def __init__(self, network: ExternalTeacher, space: Space, images: TargetImages) -> None:
        self.network, self.space, self.images = network, space, images
        self._fingerprint = network.fingerprint()

    @property
    def origin(self) -> dict[str, Any]:
        """Returns a hash of its weights and preprocessing."""
        return {"external": self._fingerprint}

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that its features depend on."""
        return hash_of_parts(self._fingerprint, self.images.batch)

    @property
    def levels(self) -> int:
        """How many feature maps the network shows."""
        return self.network.levels

    @torch.no_grad()
    def observe(self, subnet: Subnet) -> Iterator[Features]:
        """Yields what the network says of the images, batch by batch."""
        for x_NCHW in self.images.inputs(self.network.side):
            yield self.network.observe(torch.from_numpy(x_NCHW))

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes the network's pooled features of the images, float32[N, E]."""
        return pooled(self.observe(subnet))


def _hash_of(model: OnnxModel) -> str:
    return hash_of_parts(model.sha256, model.mean, model.std)
