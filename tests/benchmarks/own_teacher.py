"""The alternative that DATA argues against: a teacher with the same shape as the query."""

from typing import Any

import torch
from torch import Tensor

from hwsearch.selfsup import register_method
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.keyed import KeyTargets
from hwsearch.selfsup.moco_v2 import MocoV2
from hwsearch.selfsup.settings import DEFAULTS
from hwsearch.space import Subnet

NAME = "moco-v2-own-teacher"


class OwnTeacher(MocoV2):
    """MoCo v2 without a queue whose keys come from the query's own architecture."""

    def targets(self, views: Views, leader: Subnet | None = None) -> Any:
        """Leaves the keys to each query."""
        return None

    def forward(self, views: Views, targets: None, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the keys with the teacher at the query's architecture, then the loss."""
        return super().forward(views, self._own_targets(views, subnet), subnet)

    @torch.no_grad()
    def _own_targets(self, views: Views, subnet: Subnet) -> KeyTargets:
        return super().targets(views, subnet)


register_method(NAME, f"{__name__}:OwnTeacher", DEFAULTS["moco-v2"])
