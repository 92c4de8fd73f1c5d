"""Training a whole network with labels, the same way whatever weights it starts from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn

from hwsearch.data.augment import augment
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.data.draws import permutation
from hwsearch.errors import HwsearchError
from hwsearch.nn import StaticNet

WARM_UP = 0.1
"""Share of all steps in which the learning rate rises from 0."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW, a learning rate that rises and then falls to 0.

    Attributes:
        epochs: Passes over the images.
        batch: Images a step.
        lr: Largest learning rate.
        weight_decay: Of AdamW.
        flip: Whether views are mirrored left to right.
        device: "cpu" or "cuda".
    """

    epochs: int = 20
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    flip: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        for flag, number in (("--epochs", self.epochs), ("--batch", self.batch)):
            if number < 1:
                raise HwsearchError(f"{flag} {number} is too small", fix="Use 1 or more")
        if not self.lr > 0:
            raise HwsearchError(f"--lr {self.lr} is not above 0")

    @property
    def views(self) -> AugmentOptions:
        """How images are varied: mild crops that keep most of each."""
        flip = 0.5 if self.flip else 0.0
        return AugmentOptions(crop_scale=(0.6, 1.0), flip_share=flip).weak()


def train_with_labels(
    net: StaticNet,
    head: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    *,
    recipe: Recipe,
    seed: int,
) -> None:
    """Trains a network and its head in place; equal seeds give equal weights.

    Args:
        net: Starts from the weights it has.
        head: From the network's pooled features [B, E] to what the loss takes.
        loss: From the head's output and the places of the images, int64[B], to a scalar.
        images: uint8[N, 3, S, S] of the network's side.
        recipe: How.
        seed: Of order and views.
    """
    device, side = torch.device(recipe.device), images.shape[-1]
    both = nn.ModuleList([net, head]).to(device).train()
    optimiser, schedule = optimiser_of(both, len(images), recipe)
    with torch.enable_grad():
        for epoch, places in batches_of(len(images), recipe, seed):
            x_BCHW = augment(
                images[places].to(device),
                places,
                side=side,
                seed=seed,
                epoch=epoch,
                view=0,
                options=recipe.views,
            )
            optimiser.zero_grad()
            loss(head(net(x_BCHW).embedding), places).backward()
            optimiser.step()
            schedule.step()


def optimiser_of(
    module: nn.Module, images: int, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Returns AdamW and its schedule, which is to be stepped after each of `batches_of`."""
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * ceil(images / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step, steps))
    return optimiser, schedule


def _pace(step: int, steps: int) -> float:
    """Rises linearly, then falls linearly to 0."""
    rising = max(1.0, WARM_UP * steps)
    return min((step + 1) / rising, max(0.0, (steps - step) / max(1.0, steps - rising)))


def batches_of(count: int, recipe: Recipe, seed: int) -> Iterator[tuple[int, Tensor]]:
    """Yields the epoch and the places of each batch; a single left-over image joins no batch."""
    for epoch in range(recipe.epochs):
        order = torch.from_numpy(permutation(count, seed, epoch))
        for places in order.split(recipe.batch):
            if len(places) > 1 or count == 1:
                yield epoch, places
