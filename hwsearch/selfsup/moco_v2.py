"""MoCo v2 on a supernet: queries of any size, keys always of the maximum (arXiv 2003.04297).

Shapes: B images of this process, A images of all, C channels, H W side, D projection, K queue.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hwsearch.nn import Supernet
from hwsearch.nn.processes import gather_rows, own_rows
from hwsearch.selfsup.base import Method, MethodSettings, Norm, Views, Weights
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
    """

    keys_BD: Tensor
    negatives_KD: Tensor
    own_BK: Tensor


class MocoV2(Method[MocoTargets]):
    """Contrast with a queue of keys from a slow copy of the maximum network.

    Keys are normalised in groups of other images than the queries are, so that the batch
    statistics do not give the own key away (MoCo's shuffled batch norm, over all processes).

    Args:
        supernet: What to train.
        settings: Head, temperature, teacher, queue and groups.
    """

    norm: ClassVar[Norm] = "per-rank"

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        self.maximum = supernet.space.maximum
        self.online = Encoder(supernet, settings.projection_hidden)
        self.teacher = EmaTeacher(self.online, settings.ema)
        self.queue = KeyQueue(settings.queue, PROJECTION)
        self._waiting: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def targets(self, views: Views) -> MocoTargets:
        """Computes the keys with the teacher at the maximum."""
        keys_AD, indices_A = self._keys(views), gather_rows(views.indices_B)
        negatives_KD, owners_K = self.queue.keys_KD, self.queue.owners_K
        if not self.settings.queue:
            negatives_KD, owners_K = keys_AD, indices_A
        own_BK = views.indices_B[:, None] == owners_K[None]
        self._waiting = keys_AD, indices_A
        return MocoTargets(own_rows(keys_AD), negatives_KD, own_BK)

    def _keys(self, views: Views) -> Tensor:
        """Computes the keys of all processes, each in other company than its query."""
        images_ACHW = gather_rows(views.key_BCHW)
        generator = torch.Generator().manual_seed(views.step)
        order_A = torch.randperm(len(images_ACHW), generator=generator).to(images_ACHW.device)
        images_BCHW = images_ACHW[own_rows(order_A)]
        shuffled_AD = gather_rows(
            self.teacher.module(images_BCHW, self.maximum, self.settings.norm_groups)
        )
        keys_AD = torch.empty_like(shuffled_AD)
        keys_AD[order_A] = shuffled_AD
        return keys_AD

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
            self.queue.enqueue(*self._waiting)
        self._waiting = None

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder or its slow copy."""
        return self.online if weights == "online" else self.teacher.module
