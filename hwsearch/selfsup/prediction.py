"""What methods share whose subnets predict a teacher's projection of the other view.

Shapes: B batch, 2B two views of it, E embedding, D projection.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.nn import Supernet
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.heads import Encoder, Mlp, MlpShape, in_groups
from hwsearch.selfsup.losses import mean_cosine
from hwsearch.space import Subnet


class PredictingEncoder(nn.Module):
    """An encoder, and a predictor on its projections.

    Args:
        supernet: The shared backbone.
        shape: Sizes of the projection head.
        hidden: Hidden units of the predictor.
    """

    def __init__(self, supernet: Supernet, shape: MlpShape, hidden: int) -> None:
        super().__init__()
        self.encoder = Encoder(supernet, shape)
        self.predictor = Mlp(shape.out, MlpShape(hidden, shape.out, hidden_norm=True))

    def forward(
        self, views: Views, targets_2BD: Tensor, subnet: Subnet
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compares predictions with the targets of the other view, each view on its own.

        Returns:
            The mean cosine over both directions; the L2-normalised projections [2B, D] of both
            views, and the pooled features [B, E] of the query view.
        """

        def run(view_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            embedding_BE = self.encoder.supernet(view_BCHW, subnet).embedding
            projection_BD = self.encoder.projector(embedding_BE)
            prediction_BD = F.normalize(self.predictor(projection_BD))
            return prediction_BD, F.normalize(projection_BD), embedding_BE

        predictions_2BD, projections_2BD, embeddings_2BE = in_groups(run, views.both_2BCHW, 2)
        batch = len(views.indices_B)
        cosine = mean_cosine(predictions_2BD, targets_2BD.roll(batch, 0))
        return cosine, projections_2BD, embeddings_2BE[:batch]


@torch.no_grad()
def project_both(encoder: Encoder, views: Views, leader: Subnet | None) -> Tensor:
    """Computes the leader's L2-normalised projections [2B, D], each view on its own."""
    return encoder(views.both_2BCHW, leader or encoder.supernet.space.maximum, groups=2)
