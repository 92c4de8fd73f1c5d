"""MoCo v2 on a supernet: queries of any size, keys always of the maximum (arXiv 2003.04297).

Shapes: B batch, D projection, K queue.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hwsearch.nn import Supernet
from hwsearch.selfsup.base import Method, MethodSettings, Views, Weights
from hwsearch.selfsup.heads import PROJECTION, Encoder
from hwsearch.selfsup.losses import embedding_std, info_nce
from hwsearch.selfsup.queue import KeyQueue
from hwsearch.selfsup.teacher import EmaTeacher
from hwsearch.space import Subnet


@dataclass(frozen=True)
class MocoTargets:
    """What every query of a step is compared with.

    Attributes:
        keys_BD: The teacher's L2-normalised projections of the key view.
        negatives_KD: Keys to tell them from: the queue's, or the batch's own without a queue.
        own_BK: Which negatives are keys of the query's own image.
        indices_B: Number of each image in its source.
    """

    keys_BD: Tensor
    negatives_KD: Tensor
    own_BK: Tensor
    indices_B: Tensor


class MocoV2(Method[MocoTargets]):
    """Contrast with a queue of keys from a slow copy of the maximum network.

    Keys are normalised in groups of other images than the queries are, so that the batch
    statistics do not give the own key away (MoCo's shuffled batch norm on one process).

    Args:
        supernet: What to train.
        settings: Head, temperature, teacher, queue and groups.
    """

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        self.maximum = supernet.space.maximum
        self.online = Encoder(supernet, settings.projection_hidden)
        self.teacher = EmaTeacher(self.online, settings.ema)
        self.queue = KeyQueue(settings.queue, PROJECTION)
        self._waiting: MocoTargets | None = None

    @torch.no_grad()
    def targets(self, views: Views) -> MocoTargets:
        """Computes the keys with the teacher at the maximum."""
        generator = torch.Generator().manual_seed(views.step)
        order = torch.randperm(len(views.indices_B), generator=generator).to(views.key_BCHW.device)
        shuffled = self.teacher.module(
            views.key_BCHW[order], self.maximum, self.settings.norm_groups
        )
        keys_BD = torch.empty_like(shuffled)
        keys_BD[order] = shuffled
        negatives_KD, owners_K = self.queue.keys_KD, self.queue.owners_K
        if not self.settings.queue:
            negatives_KD, owners_K = keys_BD, views.indices_B
        own_BK = views.indices_B[:, None] == owners_K[None]
        self._waiting = MocoTargets(keys_BD, negatives_KD, own_BK, views.indices_B)
        return self._waiting

    def forward(self, views: Views, targets: MocoTargets, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the contrastive loss of one subnet's queries."""
        query_BD = self.online(views.query_BCHW, subnet, self.settings.norm_groups)
        loss = info_nce(
            query_BD,
            targets.keys_BD,
            targets.negatives_KD,
            targets.own_BK,
            self.settings.temperature,
        )
        return {"loss": loss, "embedding_std": embedding_std(query_BD)}

    def after_step(self) -> None:
        """Moves the teacher and enqueues the keys of the step."""
        assert self._waiting is not None, "after_step needs the targets of exactly one step"
        self.teacher.update(self.online)
        if self.settings.queue:
            self.queue.enqueue(self._waiting.keys_BD, self._waiting.indices_B)
        self._waiting = None

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder or its slow copy."""
        return self.online if weights == "online" else self.teacher.module
