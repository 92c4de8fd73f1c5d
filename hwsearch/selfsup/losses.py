"""Losses and diagnostics of self-supervised learning, as pure functions.

Shapes: B batch, D projection, K queue, R rows of one or two views.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hwsearch.selfsup.queue import OtherKeys


def info_nce(query_BD: Tensor, key_BD: Tensor, others: OtherKeys, temperature: float) -> Tensor:
    """Cross-entropy of picking the own key among those of others (MoCo, arXiv 1911.05722).

    Computed in fp32 also under autocast.

    Args:
        query_BD: L2-normalised projections that get gradients.
        key_BD: L2-normalised projections of the same images by the teacher.
        others: Keys of other images.
        temperature: Divides the similarities.

    Returns:
        Mean over the batch, a scalar.
    """
    with torch.autocast(query_BD.device.type, enabled=False):
        positive_B1 = (query_BD * key_BD).sum(1, keepdim=True)
        negative_BK = (query_BD @ others.keys_KD.T).masked_fill(others.own_BK, -torch.inf)
        logits = torch.cat([positive_B1, negative_BK], dim=1) / temperature
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def nt_xent(anchor_RD: Tensor, key_RD: Tensor, indices_B: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of picking the other view among those of a batch (SimCLR, arXiv 2002.05709).

    An anchor is compared with the other view of the same row and with both views of all other
    images, also where an image is in the batch twice. Computed in fp32 also under autocast.

    Args:
        anchor_RD: L2-normalised projections of two views of a batch, one view after the other.
        key_RD: What they are compared with, in the same order; SimCLR's are the anchors.
        indices_B: Number of each image in its source; R is 2B.
        temperature: Divides the similarities.

    Returns:
        Mean over both views of the batch, a scalar.
    """
    with torch.autocast(anchor_RD.device.type, enabled=False):
        rows_R = torch.arange(len(anchor_RD), device=anchor_RD.device)
        positive_R = rows_R.roll(len(indices_B))
        owners_R = indices_B.repeat(2)
        own_RR = owners_R[:, None] == owners_R[None]
        own_RR[rows_R, positive_R] = False
        logits_RR = (anchor_RD @ key_RD.T / temperature).masked_fill(own_RR, -torch.inf)
        return F.cross_entropy(logits_RR, positive_R)


def mean_cosine(prediction_RD: Tensor, target_RD: Tensor) -> Tensor:
    """Mean over rows of the cosine of L2-normalised predictions and their targets."""
    with torch.autocast(prediction_RD.device.type, enabled=False):
        return (prediction_RD * target_RD).sum(1).mean()


def relation_cross_entropy(
    query_BD: Tensor,
    key_BD: Tensor,
    others: OtherKeys,
    temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Cross-entropy of how two networks spread an image's likeness (ReSSL, arXiv 2107.09282).

    Both say by a softmax which of the other keys an image is like. Computed in fp32 also under
    autocast.

    Args:
        query_BD: L2-normalised projections that get gradients.
        key_BD: L2-normalised projections of the same images by the teacher.
        others: Keys of other images.
        temperature: Divides the similarities of the query.
        teacher_temperature: Divides the similarities of the key; lower is sharper.

    Returns:
        Mean over the batch, a scalar.
    """
    with torch.autocast(query_BD.device.type, enabled=False):
        student_BK, teacher_BK = (
            (rows_BD @ others.keys_KD.T / divisor).masked_fill(others.own_BK, -torch.inf)
            for rows_BD, divisor in ((query_BD, temperature), (key_BD, teacher_temperature))
        )
        log_share_BK = student_BK.log_softmax(1).masked_fill(others.own_BK, 0.0)
        return -(teacher_BK.softmax(1) * log_share_BK).sum(1).mean()


def relation_distance(student_BE: Tensor, teacher_BT: Tensor) -> Tensor:
    """How differently two networks see the images of a batch relate to each other.

    Both are compared by their `relations`, so that no head is needed. Computed in fp32 also under
    autocast.

    Args:
        student_BE: Embeddings that get gradients.
        teacher_BT: Embeddings of the same images, of any width.

    Returns:
        Mean of 1 − cos over rows, from 0 for equal relations.
    """
    with torch.autocast(student_BE.device.type, enabled=False):
        student_BB, teacher_BB = map(relations, (student_BE.float(), teacher_BT.float()))
        return (student_BB - teacher_BB).square().sum(1).mean() / 2


def relations(embedding_BE: Tensor) -> Tensor:
    """Tells how similar each image is to every other one, for networks of any width.

    The relation matrix of DATA (arXiv 2203.09041) is taken over images instead of positions:
    embeddings are centred over the images and L2-normalised, and each row of F Fᵀ has length 1.
    Width, rotation and scale of the embeddings do not matter.

    Args:
        embedding_BE: Pooled features.

    Returns:
        [B, B].
    """
    unit_BE = F.normalize(embedding_BE - embedding_BE.mean(0))
    return F.normalize(unit_BE @ unit_BE.T)


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
