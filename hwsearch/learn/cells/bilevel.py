"""Gradients of two levels: what the architecture should become, given how the weights learn.

First order takes the weights as they are. Second order (DARTS, arXiv 1806.09055, eq. 7 and 8)
takes those that one step of training would give, and how that step depends on the architecture, by
two more gradients at weights moved a little to either side.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Loss = Callable[[], Tensor]
Move = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""From the gradients of all weights to what a step of training subtracts from them."""

_NUDGE = 0.01
"""How far weights are moved to either side, all together."""


def first_order(architecture: Sequence[Tensor], held_out: Loss) -> list[Tensor]:
    """Returns the gradient of the held-out loss, by parameter of the architecture."""
    return list(torch.autograd.grad(held_out(), architecture))


def second_order(
    architecture: Sequence[Tensor],
    weights: Sequence[Tensor],
    held_out: Loss,
    training: Loss,
    *,
    move: Move,
    lr: float,
) -> list[Tensor]:
    """Returns the gradient of the held-out loss after one step of training.

    Args:
        architecture: Parameters that the gradient is of.
        weights: What a step of training moves; equal to the bit afterwards.
        held_out: Loss that the architecture is judged by.
        training: Loss that the weights learn from.
        move: Tells the step, in which a gradient counts `lr` times.
        lr: Learning rate of the step.

    Returns:
        By parameter of the architecture.
    """
    before = [weight.detach().clone() for weight in weights]
    steps = move(torch.autograd.grad(training(), weights))
    try:
        _place(weights, before, steps, -1.0)
        found = torch.autograd.grad(held_out(), [*architecture, *weights])
        direct, direction = found[: len(architecture)], found[len(architecture) :]
        length = torch.stack([part.norm() for part in direction]).norm()
        nudge = float(_NUDGE / length.clamp(min=torch.finfo(length.dtype).tiny))
        sides = []
        for sign in (1.0, -1.0):
            _place(weights, before, direction, sign * nudge)
            sides.append(torch.autograd.grad(training(), architecture))
    finally:
        _place(weights, before, before, 0.0)
    return [
        here - lr * (above - below) / (2 * nudge)
        for here, above, below in zip(direct, *sides, strict=True)
    ]


@torch.no_grad()
def _place(
    weights: Sequence[Tensor], before: Sequence[Tensor], direction: Sequence[Tensor], factor: float
) -> None:
    """Moves weights to where they were, and from there along a direction."""
    for weight, start, part in zip(weights, before, direction, strict=True):
        weight.copy_(start if factor == 0 else start + factor * part)
