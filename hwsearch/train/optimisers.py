"""What takes the steps: one optimiser by name, without weight decay on norms and biases."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer

_MOMENTUM = 0.9


def make_optimiser(name: str, parameters: Iterable[nn.Parameter], weight_decay: float) -> Optimizer:
    """Builds an optimiser whose learning rate is 0 until it is told.

    Args:
        name: "sgd" (momentum 0.9) or "adamw".
        parameters: What it moves.
        weight_decay: Pull towards zero on weights with two or more dimensions.
    """
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.SGD(groups, lr=0.0, momentum=_MOMENTUM)
