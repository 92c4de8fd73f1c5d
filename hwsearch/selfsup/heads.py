"""Heads, elastic in their input, and encoders that end in one.

Shapes: B batch, C channels, H W side, E embedding, M hidden units, D projection, P positions;
"..." stands for B or B, P.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.nn import StaticNet, Supernet
from hwsearch.space import Subnet


@dataclass(frozen=True)
class MlpShape:
    """Sizes of a head.

    Attributes:
        hidden: Hidden units.
        out: Length of a result.
        layers: Linear layers, 2 or 3.
        hidden_norm: Whether batch norms follow the hidden layers.
        out_norm: Whether a batch norm without scale and shift follows the last layer.
    """

    hidden: int
    out: int
    layers: int = 2
    hidden_norm: bool = False
    out_norm: bool = False


class Mlp(nn.Module):
    """FC → ReLU → FC, with batch norms where asked for; narrower inputs use the first columns.

    Like those of the supernet, its norms use the statistics of the batch at hand, for those of
    one width are wrong for another. A head for one width alone can have running statistics.

    Args:
        width: Most channels of the input.
        shape: Sizes.
        running: Whether its norms have running statistics, to be calibrated.
    """

    def __init__(self, width: int, shape: MlpShape, *, running: bool = False) -> None:
        super().__init__()
        self.shape = shape

        hidden = shape.hidden

        def after_hidden() -> list[nn.Module]:
            norm = nn.BatchNorm1d(hidden, track_running_stats=running)
            return [norm, nn.ReLU()] if shape.hidden_norm else [nn.ReLU()]

        inner = after_hidden()
        for _ in range(shape.layers - 2):
            inner += [nn.Linear(hidden, hidden), *after_hidden()]
        self.first = nn.Linear(width, hidden)
        self.inner = nn.Sequential(*inner)
        self.second = nn.Linear(hidden, shape.out)  # the last; checkpoints have that name
        self.out_norm = (
            nn.BatchNorm1d(shape.out, affine=False, track_running_stats=running)
            if shape.out_norm
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Computes [..., D], in fp32, of inputs [..., E] of any width up to the head's."""
        columns_ME = self.first.weight[:, : x.shape[-1]]
        hidden = self.inner(F.linear(x, columns_ME, self.first.bias))
        return self.out_norm(self.second(hidden)).float()

    @torch.no_grad()
    def extract(self, width: int) -> "Mlp":
        """Copies the head for inputs of one width, in training mode and not yet calibrated."""
        head = Mlp(width, self.shape, running=True).to(self.first.weight.device)
        state = dict(head.named_buffers()) | self.state_dict()
        state["first.weight"] = self.first.weight[:, :width]
        head.load_state_dict(state)
        return head


class NoHead(nn.Module):
    """Leaves pooled features as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the features in fp32."""
        return x.float()

    def extract(self, width: int) -> "NoHead":
        """Returns the same for features of one width."""
        return self


class Embedder(nn.Module):
    """A static network and its projection head.

    Args:
        backbone: A network taken from a supernet.
        projector: A head for embeddings of its width.
    """

    def __init__(self, backbone: StaticNet, projector: Mlp | NoHead) -> None:
        super().__init__()
        self.backbone, self.projector = backbone, projector

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Computes the L2-normalised projections [B, D] of normalised images."""
        return F.normalize(self.projector(self.backbone(images_BCHW).embedding))


class Encoder(nn.Module):
    """A supernet and the projection head that all its subnets share.

    Args:
        supernet: The shared backbone.
        shape: Sizes of the head; without one, pooled features are the projections.
    """

    def __init__(self, supernet: Supernet, shape: MlpShape | None) -> None:
        super().__init__()
        self.supernet = supernet
        self.projector = Mlp(supernet.embedding_width, shape) if shape else NoHead()

    @property
    def has_head(self) -> bool:
        """Whether projections of all subnets are of one length and can be compared."""
        return isinstance(self.projector, Mlp)

    def forward(self, images_BCHW: Tensor, subnet: Subnet, groups: int = 1) -> Tensor:
        """Computes L2-normalised projections [B, D] in fp32; see `run`."""
        return self.run(images_BCHW, subnet, groups)[0]

    def run(self, images_BCHW: Tensor, subnet: Subnet, groups: int = 1) -> tuple[Tensor, Tensor]:
        """Computes L2-normalised projections [B, D] in fp32, and pooled features [B, E].

        Args:
            images_BCHW: Normalised images.
            subnet: Which network to run.
            groups: Parts of the batch, each with batch-norm statistics of its own.
        """

        def run(part_BCHW: Tensor) -> tuple[Tensor, Tensor]:
            embedding_BE = self.supernet(part_BCHW, subnet).embedding
            return self.project(embedding_BE), embedding_BE

        projection_BD, embedding_BE = in_groups(run, images_BCHW, groups)
        return projection_BD, embedding_BE

    def project(self, embedding_BE: Tensor) -> Tensor:
        """Computes L2-normalised projections [B, D]; norms take the statistics of all rows."""
        return F.normalize(self.projector(embedding_BE))

    def extract(self, subnet: Subnet) -> Embedder:
        """Copies a subnet with its slice of the head into static modules."""
        backbone = self.supernet.extract(subnet)
        return Embedder(backbone, self.projector.extract(backbone.embedding_width))


def in_groups(
    run: Callable[[Tensor], tuple[Tensor, ...]], images_BCHW: Tensor, groups: int
) -> tuple[Tensor, ...]:
    """Runs equal parts of a batch one by one and joins each of the results."""
    return tuple(map(torch.cat, zip(*map(run, images_BCHW.chunk(groups)), strict=True)))
