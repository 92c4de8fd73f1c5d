"""Teachers: slow averages of the weights that are being trained."""

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class EmaTeacher(nn.Module, Generic[M]):
    """An exponential moving average of all full-size parameters of a module.

    Args:
        student: What to average; the copy starts equal to it.
        decay: Share of the old weights that stays in an update.
    """

    module: M

    def __init__(self, student: M, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.module = deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def update(self, student: M) -> None:
        """Moves the average towards the student's present weights."""
        for mine, new in zip(self.module.parameters(), student.parameters(), strict=True):
            mine.lerp_(new, 1.0 - self.decay)
