"""The contract of a self-supervised method: what a training step asks of it.

Shapes: B batch, 2B two views of it, C channels, H W side, E embedding, D
projection.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from hwsearch.errors import HwsearchError
from hwsearch.selfsup.heads import Embedder, Encoder
from hwsearch.selfsup.losses import embedding_std
from hwsearch.space import Subnet

Weights = Literal["online", "ema"]
"""Which weights: those the optimiser moves, or their slow average."""

Norm = Literal["per-rank", "sync"]
"""Whose images batch norm takes its statistics of: one process's, or those of all."""


@dataclass(frozen=True)
class Views:
    """Two augmented views of a batch of images.

    Attributes:
        query_BCHW: Normalised images that the subnets see.
        key_BCHW: Normalised images that the teacher sees.
        indices_B: Number of each image in its source.
        step: Counts training steps; it seeds whatever the method draws.
        progress: Share of the whole run that is done, 0 to 1.
    """

    query_BCHW: Tensor
    key_BCHW: Tensor
    indices_B: Tensor
    step: int
    progress: float = 0.0

    @property
    def both_2BCHW(self) -> Tensor:
        """Both views as one batch, the query's first."""
        return torch.cat([self.query_BCHW, self.key_BCHW])


@dataclass(frozen=True)
class Projections:
    """What a network that others are compared with makes of both views.

    Attributes:
        both_2BD: L2-normalised projections, the query view's first.
    """

    both_2BD: Tensor


T = TypeVar("T")


class Method(nn.Module, ABC, Generic[T]):
    """A supernet and what trains it without labels.

    One step is: `targets` once, then `method(views, targets, subnet)` and backward for each
    subnet, one optimiser step on the parameters that ask for gradients, `after_step` once.
    All state is in the state dict. With many processes each sees its own rows of the views, and
    what the state dict holds stays equal on all.

    Attributes:
        norm: Whose batch-norm statistics suit the method.
        weak_key: Whether the key view is only cropped and flipped.
        has_lesson: Whether a part of the loss, "lesson" of the outputs, is what subnets learn from
            a frozen network.
    """

    norm: Norm = "sync"
    weak_key: bool = False
    has_lesson: bool = False

    @abstractmethod
    def targets(self, views: Views, leader: Subnet | None = None) -> T:
        """Computes, without gradients, what all subnets of the step are compared with.

        It is a dataclass that `rows.rows_of` can take apart, or None.

        Args:
            views: This process's images.
            leader: Which network teaches; the maximum by default.
        """

    @abstractmethod
    def forward(self, views: Views, targets: T, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the loss of one subnet.

        Returns:
            What `outputs` makes.
        """

    def steady_parameters(self) -> Iterable[nn.Parameter]:
        """Returns what keeps the peak learning rate to the end instead of following the cosine."""
        return ()

    def after_step(self) -> None:
        """Moves the teacher and its memory, if any; called once after the optimiser's step."""

    def skip_step(self) -> None:
        """Forgets what `targets` noted, in place of `after_step`: nothing was trained."""

    @abstractmethod
    def encoder(self, weights: Weights) -> Encoder:
        """Returns the supernet with its projection head, with the weights asked for.

        Raises:
            HwsearchError: If the method keeps no slow average and that is asked for.
        """

    def embedder(self, subnet: Subnet, weights: Weights = "online") -> Embedder:
        """Extracts a subnet with its slice of the projection head.

        Returns:
            A module from normalised images to L2-normalised projections [B, D], in training
            mode; the batch norms of its backbone and head are not calibrated yet.
        """
        return self.encoder(weights).extract(subnet)


def outputs(loss: Tensor, projections: Tensor, embedding_BE: Tensor) -> dict[str, Tensor]:
    """Puts together what a method says about one subnet.

    Args:
        loss: A scalar.
        projections: L2-normalised projections of the query view [B, D], or of both views [2B, D],
            the query's first.
        embedding_BE: Pooled features of the query view.

    Returns:
        "loss"; "embedding_std", the spread of the projections over that of directions drawn at
        random (1 = all directions used, 0 = collapsed); and "projection" and "embedding" of the
        query view, and "projections" of all views that passed, for losses beside it.
    """
    projection_BD = projections[: len(embedding_BE)]
    return {
        "loss": loss,
        "embedding_std": embedding_std(projection_BD),
        "projection": projection_BD,
        "projections": projections,
        "embedding": embedding_BE,
    }


def without_average(method: str, weights: Weights, encoder: Encoder) -> Encoder:
    """Returns the encoder of a method whose only weights are the online ones.

    Raises:
        HwsearchError: If the slow average is asked for.
    """
    if weights == "online":
        return encoder
    raise HwsearchError(
        f"method '{method}' keeps no slow average of its weights", fix="Use --weights online"
    )
