"""MoCo v2 on a supernet: a query's own key is told from older keys (arXiv 2003.04297)."""

from torch import Tensor

from hwsearch.selfsup.keyed import KeyedMethod, KeyTargets
from hwsearch.selfsup.losses import info_nce


class MocoV2(KeyedMethod):
    """Contrast with a queue of keys from a slow copy of the maximum network."""

    def compare(self, query_BD: Tensor, targets: KeyTargets) -> Tensor:
        """Computes the contrastive loss of L2-normalised queries."""
        return info_nce(query_BD, targets.keys_BD, targets.others, self.settings.temperature)
