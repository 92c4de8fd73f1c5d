"""ReSSL on a supernet: queries are like the same older keys as their key (arXiv 2107.09282)."""

from torch import Tensor

from hwsearch.selfsup.keyed import KeyedMethod, KeyTargets
from hwsearch.selfsup.losses import relation_cross_entropy


class ReSsl(KeyedMethod):
    """Agreement with the maximum's slow copy about which older keys an image is like.

    The teacher sees a weakly augmented view, so that its opinion is a good one.
    """

    weak_key = True

    def compare(self, query_BD: Tensor, targets: KeyTargets) -> Tensor:
        """Computes the cross-entropy of likenesses of L2-normalised queries."""
        return relation_cross_entropy(
            query_BD,
            targets.keys_BD,
            targets.others,
            self.settings.temperature,
            self.settings.teacher_temperature,
        )
