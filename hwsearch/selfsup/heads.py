"""Projection heads, elastic in their input, and encoders that end in one.

Shapes: B batch, C channels, H W side, E embedding, M hidden units, D projection.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.nn import StaticNet, Supernet
from hwsearch.space import Subnet

PROJECTION = 128
"""Length of a projection."""


class Projector(nn.Module):
    """FC → ReLU → FC → unit length; a narrower embedding uses the first columns.

    Args:
        width: Most channels of the embedding.
        hidden: Hidden units.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, PROJECTION)

    def forward(self, embedding_BE: Tensor) -> Tensor:
        """Computes L2-normalised projections [B, D], in fp32, of embeddings of any width."""
        columns_ME = self.first.weight[:, : embedding_BE.shape[1]]
        hidden_BM = F.relu(F.linear(embedding_BE, columns_ME, self.first.bias))
        return F.normalize(self.second(hidden_BM).float())

    @torch.no_grad()
    def extract(self, width: int) -> "Projector":
        """Copies the head for embeddings of one width."""
        head = Projector(width, self.first.out_features).to(self.first.weight.device)
        head.first.weight.copy_(self.first.weight[:, :width])
        head.first.bias.copy_(self.first.bias)
        head.second.load_state_dict(self.second.state_dict())
        return head


class Embedder(nn.Module):
    """A static network and its projection head.

    Args:
        backbone: A network taken from a supernet.
        projector: A head for embeddings of its width.
    """

    def __init__(self, backbone: StaticNet, projector: Projector) -> None:
        super().__init__()
        self.backbone, self.projector = backbone, projector

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Computes the L2-normalised projections [B, D] of normalised images."""
        return self.projector(self.backbone(images_BCHW).embedding)


class Encoder(nn.Module):
    """A supernet and the projection head that all its subnets share.

    Args:
        supernet: The shared backbone.
        hidden: Hidden units of the head.
    """

    def __init__(self, supernet: Supernet, hidden: int) -> None:
        super().__init__()
        self.supernet = supernet
        self.projector = Projector(supernet.embedding_width, hidden)

    def forward(self, images_BCHW: Tensor, subnet: Subnet, groups: int = 1) -> Tensor:
        """Computes L2-normalised projections [B, D] in fp32.

        Args:
            images_BCHW: Normalised images.
            subnet: Which network to run.
            groups: Parts of the batch, each with batch-norm statistics of its own.
        """
        parts = images_BCHW.chunk(groups)
        embedding_BE = torch.cat([self.supernet(part, subnet).embedding for part in parts])
        return self.projector(embedding_BE)

    def extract(self, subnet: Subnet) -> Embedder:
        """Copies a subnet with its slice of the head into static modules."""
        backbone = self.supernet.extract(subnet)
        return Embedder(backbone, self.projector.extract(backbone.embedding_width))
