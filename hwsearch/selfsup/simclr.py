"""SimCLR on a supernet: both views pass through the subnet (arXiv 2002.05709).

Shapes: B batch, 2B two views of it, D projection, E embedding.
"""

import torch
from torch import Tensor

from hwsearch.nn import Supernet
from hwsearch.nn.processes import gather_rows
from hwsearch.selfsup.base import Method, Projections, Views, Weights, outputs, without_average
from hwsearch.selfsup.heads import Encoder, MlpShape
from hwsearch.selfsup.losses import nt_xent
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Subnet


class SimClr(Method[Projections | None]):
    """Contrast with the other images of the batch; there is no teacher.

    With `max_target` a subnet's views are told from those of the maximum, whose weights are the
    present ones and get no gradients from it.

    Args:
        supernet: What to train.
        settings: Head, temperature and whether the maximum is the target.
    """

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        self.maximum = supernet.space.maximum
        shape = MlpShape(
            settings.projection_hidden, settings.projection, hidden_norm=True, out_norm=True
        )
        self.online = Encoder(supernet, shape)

    @torch.no_grad()
    def targets(self, views: Views, leader: Subnet | None = None) -> Projections | None:
        """Computes the leader's projections of both views, if they are the target."""
        if not self.settings.max_target:
            return None
        return Projections(self.online(views.both_2BCHW, leader or self.maximum))

    def forward(
        self, views: Views, targets: Projections | None, subnet: Subnet
    ) -> dict[str, Tensor]:
        """Computes the contrastive loss of both views of one subnet."""
        anchors_2BD, embeddings_2BE = self.online.run(views.both_2BCHW, subnet)
        keys_2BD = anchors_2BD if targets is None else targets.both_2BD
        # All processes compute the loss of all: each needs the others' gradients of its rows.
        loss = nt_xent(
            _of_all(anchors_2BD),
            _of_all(keys_2BD),
            gather_rows(views.indices_B),
            self.settings.temperature,
        )
        return outputs(loss, anchors_2BD, embeddings_2BE[: len(views.indices_B)])

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder; there is no other."""
        return without_average("simclr", weights, self.online)


def _of_all(projection_2BD: Tensor) -> Tensor:
    """Returns the projections of all processes, one view after the other."""
    return torch.cat([gather_rows(view_BD) for view_BD in projection_2BD.chunk(2)])
