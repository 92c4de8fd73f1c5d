"""LARS: layer-wise adaptive learning rates for large batches (arXiv 1708.03888)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

TRUST = 0.001
"""Length of a step by the weights' own length, at a learning rate of 1."""


class Lars(Optimizer):
    """SGD with momentum, where each tensor's step is as long as its weights are.

    With gradient g, weights w and weight decay β a step goes along g + βw, times
    trust · |w| / (|g| + β|w|); a tensor of zeros, or without gradient, steps as in SGD. In groups
    that do not adapt (norms and biases) it is SGD.

    Args:
        groups: As torch's optimisers take them; each says by "adapts" whether it does.
        lr: Learning rate.
        momentum: Share of the step before that is kept.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float = 0.9
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "adapts": True}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore
        """Moves all weights that have a gradient."""
        assert closure is None, "the gradients are there already"
        for group in self.param_groups:
            moved = [weight for weight in group["params"] if weight.grad is not None]
            for weight in moved:
                direction = _direction(weight, group["weight_decay"], adapts=group["adapts"])
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                state["momentum_buffer"].mul_(group["momentum"]).add_(direction)
                weight.add_(state["momentum_buffer"], alpha=-group["lr"])


def _direction(weight: Tensor, decay: float, *, adapts: bool) -> Tensor:
    assert weight.grad is not None
    direction = weight.grad + decay * weight
    if not adapts:
        return direction
    length, gradient_length = weight.norm(), weight.grad.norm()
    rate = TRUST * length / (gradient_length + decay * length)
    usable = (length > 0) & (gradient_length > 0)
    return direction * torch.where(usable, rate, 1.0)  # no value is waited for on a GPU
