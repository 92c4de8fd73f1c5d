"""What methods share that compare a subnet's queries with a teacher's keys.

Shapes: B batch, D projection, K queue.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from hwsearch.nn import Supernet
from hwsearch.selfsup.base import Method, Views, Weights, outputs
from hwsearch.selfsup.heads import Encoder, MlpShape
from hwsearch.selfsup.queue import KeyQueue, OtherKeys
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.teacher import EmaTeacher, put_back, shuffled
from hwsearch.space import Subnet


@dataclass(frozen=True)
class KeyTargets:
    """What every query of a step is compared with.

    Attributes:
        keys_BD: The teacher's L2-normalised projections of the key view.
        others: Keys of other images.
    """

    keys_BD: Tensor
    others: OtherKeys


class KeyedMethod(Method[KeyTargets]):
    """Queries of any size, keys of a slow copy of the maximum network, older keys in a queue.

    Args:
        supernet: What to train.
        settings: Head, temperatures, teacher, queue and groups.
    """

    norm = "per-rank"

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        self.maximum = supernet.space.maximum
        self.online = Encoder(supernet, MlpShape(settings.projection_hidden, settings.projection))
        self.teacher = EmaTeacher(self.online, settings)
        self.queue = KeyQueue(settings.queue, settings.projection)
        self._progress = 0.0

    @abstractmethod
    def compare(self, query_BD: Tensor, targets: KeyTargets) -> Tensor:
        """Computes the loss of L2-normalised queries, a scalar."""

    @torch.no_grad()
    def targets(self, views: Views, leader: Subnet | None = None) -> KeyTargets:
        """Computes the keys with the teacher at the leader."""
        self._progress = views.progress
        images_BCHW, back = shuffled(views)
        leader, groups = leader or self.maximum, self.settings.norm_groups
        results_BD = self.teacher.module(images_BCHW, leader, groups)
        keys_BD = put_back(results_BD, back)
        return KeyTargets(keys_BD, self.queue.others(keys_BD, views.indices_B))

    def forward(self, views: Views, targets: KeyTargets, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the loss of one subnet's queries."""
        groups = self.settings.norm_groups
        query_BD, embedding_BE = self.online.run(views.query_BCHW, subnet, groups)
        return outputs(self.compare(query_BD, targets), query_BD, embedding_BE)

    def after_step(self) -> None:
        """Moves the teacher and enqueues the keys of the step."""
        self.teacher.update(self.online, self._progress)
        self.queue.enqueue()

    def skip_step(self) -> None:
        """Keeps the keys of the step out of the queue."""
        self.queue.drop()

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder or its slow copy."""
        return self.online if weights == "online" else self.teacher.module
