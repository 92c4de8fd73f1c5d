"""Losses and diagnostics of self-supervised learning, as pure functions.

Shapes: B batch, D projection, K queue.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    query_BD: Tensor, key_BD: Tensor, negatives_KD: Tensor, own_BK: Tensor, temperature: float
) -> Tensor:
    """Cross-entropy of picking the own key among the negatives (MoCo, arXiv 1911.05722).

    Computed in fp32 also under autocast.

    Args:
        query_BD: L2-normalised projections that get gradients.
        key_BD: L2-normalised projections of the same images by the teacher.
        negatives_KD: L2-normalised keys of other images.
        own_BK: True where a negative is an older key of the query's own image; left out.
        temperature: Divides the similarities.

    Returns:
        Mean over the batch, a scalar.
    """
    with torch.autocast(query_BD.device.type, enabled=False):
        positive_B1 = (query_BD * key_BD).sum(1, keepdim=True)
        negative_BK = (query_BD @ negatives_KD.T).masked_fill(own_BK, -torch.inf)
        logits = torch.cat([positive_B1, negative_BK], dim=1) / temperature
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


@torch.no_grad()
def embedding_std(projection_BD: Tensor) -> Tensor:
    """Spread of L2-normalised projections relative to directions drawn at random.

    Returns:
        Standard deviation over the batch, averaged over dimensions, times √D: about 1 if all
        directions are used and 0 if all projections are equal (SimSiam, arXiv 2011.10566).
    """
    return projection_BD.std(0, correction=0).mean() * projection_BD.shape[1] ** 0.5


@torch.no_grad()
def effective_rank(projection_BD: Tensor) -> Tensor:
    """Number of directions that projections use: exp of the entropy of their singular values.

    RankMe (arXiv 2210.02885): from 1, all on one line, to the smaller of B and D, all directions
    alike. Compare runs of one method and one width with it.

    Returns:
        A scalar.
    """
    values = torch.linalg.svdvals(projection_BD.float())
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp()
