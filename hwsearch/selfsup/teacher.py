"""Teachers: slow averages of the weights that are being trained."""

from copy import deepcopy
from math import cos, pi
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hwsearch.nn.processes import gather_rows, own_rows
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.settings import MethodSettings

M = TypeVar("M", bound=nn.Module)


class EmaTeacher(nn.Module, Generic[M]):
    """An exponential moving average of all full-size parameters of a module.

    Args:
        student: What to average; the copy starts equal to it.
        settings: Share of the old weights that stays in an update.
    """

    module: M

    def __init__(self, student: M, settings: MethodSettings) -> None:
        super().__init__()
        self._start = settings.ema
        self._end = settings.ema if settings.ema_end is None else settings.ema_end
        self.module = deepcopy(student).requires_grad_(False)

    def decay_at(self, progress: float) -> float:
        """Returns the share of the old weights that stays, at a share of the run."""
        return self._end - (self._end - self._start) * (1 + cos(pi * progress)) / 2

    @torch.no_grad()
    def update(self, student: M, progress: float) -> None:
        """Moves the average towards the student's present weights."""
        move = get_ema_multi_avg_fn(self.decay_at(progress))
        move(list(self.module.parameters()), list(student.parameters()), None)


def shuffled(views: Views) -> tuple[Tensor, Tensor]:
    """Reorders the key view, so that its batch statistics do not tell a query's own key.

    The keys are then normalised in groups of other images than the queries are: MoCo's shuffled
    batch norm (arXiv 1911.05722), over all processes.

    Returns:
        Images [B, C, H, W] of any process in an order that depends on the step, and what
        `put_back` takes.
    """
    images = gather_rows(views.key_BCHW)
    generator = torch.Generator().manual_seed(views.step)
    order = torch.randperm(len(images), generator=generator).to(images.device)
    return images[own_rows(order)], own_rows(order.argsort())


def put_back(results: Tensor, back_B: Tensor) -> Tensor:
    """Returns the rows of this process's images, from what `shuffled` images came to."""
    return gather_rows(results)[back_B]
