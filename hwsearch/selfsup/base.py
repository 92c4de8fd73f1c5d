"""The contract of a self-supervised method: what a training step asks of it.

Shapes: B batch, C channels, H W side.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from torch import Tensor, nn

from hwsearch.selfsup.heads import Embedder, Encoder
from hwsearch.space import Subnet

Weights = Literal["online", "ema"]
"""Which weights: those the optimiser moves, or their slow average."""

Norm = Literal["per-rank", "sync"]
"""Whose images batch norm takes its statistics of: one process's, or those of all."""


@dataclass(frozen=True)
class MethodSettings:
    """What methods can be told; each takes what it knows.

    Attributes:
        projection_hidden: Hidden units of the projection head.
        temperature: Temperature of the contrastive loss.
        ema: Share of the old weights that the teacher keeps in a step.
        queue: Older keys kept as negatives; 0 takes the other images of the batch instead.
        norm_groups: Parts of a batch with batch-norm statistics of their own.
    """

    projection_hidden: int = 2048
    temperature: float = 0.2
    ema: float = 0.999
    queue: int = 65_536
    norm_groups: int = 2


@dataclass(frozen=True)
class Views:
    """Two augmented views of a batch of images.

    Attributes:
        query_BCHW: Normalised images that the subnets see.
        key_BCHW: Normalised images that the teacher sees.
        indices_B: Number of each image in its source.
        step: Counts training steps; it seeds whatever the method draws.
    """

    query_BCHW: Tensor
    key_BCHW: Tensor
    indices_B: Tensor
    step: int


T = TypeVar("T")


class Method(nn.Module, ABC, Generic[T]):
    """A supernet and what trains it without labels.

    One step is: `targets` once, then `method(views, targets, subnet)` and backward for each
    subnet, one optimiser step on the parameters that ask for gradients, `after_step` once.
    All state is in the state dict. With many processes each sees its own rows of the views, and
    what the state dict holds stays equal on all.

    Attributes:
        norm: Whose batch-norm statistics suit the method.
        online: What is trained.
    """

    norm: ClassVar[Norm] = "sync"
    online: Encoder

    @abstractmethod
    def targets(self, views: Views) -> T:
        """Computes, without gradients, what all subnets of the step are compared with."""

    @abstractmethod
    def forward(self, views: Views, targets: T, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the loss of one subnet.

        Returns:
            "loss", and "embedding_std": the spread of the batch's normalised projections over
            that of directions drawn at random (1 = all directions used, 0 = collapsed).
        """

    @abstractmethod
    def after_step(self) -> None:
        """Moves the teacher and its memory; called once after the optimiser's step."""

    @abstractmethod
    def encoder(self, weights: Weights) -> Encoder:
        """Returns the supernet with its projection head, with the weights asked for."""

    def embedder(self, subnet: Subnet, weights: Weights = "online") -> Embedder:
        """Extracts a subnet with its slice of the projection head.

        Returns:
            A module from normalised images to L2-normalised projections [B, 128]; its
            `backbone` is a static network that is not calibrated yet.
        """
        return self.encoder(weights).extract(subnet)
