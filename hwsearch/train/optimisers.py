"""What takes the steps: one optimiser by name, without weight decay on norms and biases."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from hwsearch.train.lars import Lars

MOMENTUM = 0.9
"""Of sgd and lars."""
_LR_OF_256 = {"sgd": 0.03, "lars": 0.3, "adamw": 0.001}
"""Peak learning rates for each 256 images of a batch: of MoCo v2 (arXiv 2003.04297), of SimCLR
(arXiv 2002.05709), and AdamW's own, which takes no batch of 256 into account."""

_LR_OF_METHOD = {("byol", "lars"): 0.2, ("simsiam", "sgd"): 0.05}
"""Those of methods whose papers have another (arXiv 2006.07733, 2011.10566)."""


def default_lr(method: str, optimizer: str, batch: int) -> float:
    """Returns the peak learning rate of a method unless told otherwise."""
    of_256 = _LR_OF_METHOD.get((method, optimizer), _LR_OF_256[optimizer])
    return of_256 * batch / 256


def make_optimiser(
    name: str,
    parameters: Iterable[nn.Parameter],
    weight_decay: float,
    steady: Iterable[nn.Parameter] = (),
) -> Optimizer:
    """Builds an optimiser whose learning rate is 0 until it is told.

    Args:
        name: "sgd" (momentum 0.9), "lars" (likewise) or "adamw".
        parameters: What it moves.
        weight_decay: Pull towards zero on weights with two or more dimensions.
        steady: Those of them whose learning rate does not fall; their groups are marked "steady".
    """
    parameters, kept = list(parameters), set(steady)
    groups: list[dict[str, Any]] = []
    for is_steady in (False, True) if kept else (False,):
        part = [p for p in parameters if (p in kept) == is_steady]
        groups += [
            {"params": [p for p in part if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in part if p.ndim <= 1], "weight_decay": 0.0},
        ]
        for group in groups[-2:]:
            group["steady"] = is_steady
    if name == "lars":
        return Lars([group | {"adapts": at % 2 == 0} for at, group in enumerate(groups)], lr=0.0)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM)
