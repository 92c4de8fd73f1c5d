"""Training of one path of a supernet at a time, which also follows a frozen earlier network (SDR).

The distillation is our reading of SiamKD (arXiv 2205.13267, whose formula we do not have): with z_s
the projection of the path, z_T that of the frozen network, D = −cos and x₁, x₂ the views, the loss
is that of the method, such as D(h(z_s(x₁)), sg z_s(x₂)) of SimSiam, plus λ D(h′(z_s(x₁)),
sg z_T(x₂)), in both directions where the method has both.

Shapes: B batch, 2B two views of it, D projection; R is B or 2B.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.errors import HwsearchError
from hwsearch.selfsup.base import Method, Views, Weights
from hwsearch.selfsup.heads import Encoder, Mlp, MlpShape, in_groups
from hwsearch.selfsup.losses import mean_cosine
from hwsearch.selfsup.prediction import PredictingEncoder, project_both
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Subnet

_QUEUE = "queue."


@dataclass(frozen=True)
class PathTargets:
    """What the path of a step is compared with.

    Attributes:
        method: The targets of the method itself, by the path.
        lesson_2BD: Projections by the frozen network [R, D], row by row of the view that the path
            does not see in that row; None without distillation.
    """

    method: Any
    lesson_2BD: Tensor | None


class Specialised(Method[PathTargets]):
    """Another method, whose networks take turns and follow a frozen earlier one.

    The frozen network is a part of the state: what was trained tells images apart as the tree of
    clusters does. Its batch norms, as all in a supernet, take the statistics of the batch, which is
    of one node; those of an extracted path are calibrated on the images that it is used on, as
    `hwsearch route` does with a task's labelled images and `hwsearch deploy` with its --images.

    Args:
        method: The other method.
        settings: Weight of the distillation, and sizes of the head h′.
    """

    def __init__(self, method: Method[Any], settings: MethodSettings) -> None:
        super().__init__()
        assert settings.follow_start is not None
        self.method, self._weight = method, settings.follow_start
        self.norm, self.weak_key = method.norm, method.weak_key
        self.has_lesson = self._weight > 0
        self.teacher = deepcopy(method.encoder("online")).requires_grad_(False)
        shape = MlpShape(settings.projection_hidden, settings.projection, hidden_norm=True)
        predictor = _predictor(method)
        self.head = Mlp(settings.projection, shape) if predictor is None else deepcopy(predictor)
        self._both = predictor is not None

    def begin(self, start: Method[Any], weights: Weights = "online") -> None:
        """Takes over an earlier run: its weights, itself as the frozen network, and h for h′.

        Args:
            start: The method of the run.
            weights: Which of its weights are frozen.

        Raises:
            HwsearchError: If the weights do not fit.
        """
        inherit(self.method, start)
        self.teacher.load_state_dict(start.encoder(weights).state_dict())
        predictor = _predictor(start)
        if predictor is not None:
            self.head.load_state_dict(predictor.state_dict())

    def targets(self, views: Views, leader: Subnet | None = None) -> PathTargets:
        """Computes the method's targets by the path, and what the frozen network says."""
        lesson_2BD = self._lesson(views) if self.has_lesson else None
        return PathTargets(self.method.targets(views, leader), lesson_2BD)

    @torch.no_grad()
    def _lesson(self, views: Views) -> Tensor:
        """Computes [R, D], each row of the other view."""
        if self._both:
            return project_both(self.teacher, views, None).roll(len(views.indices_B), 0)
        return self.teacher(views.key_BCHW, self.teacher.supernet.space.maximum)

    def forward(self, views: Views, targets: PathTargets, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the method's loss of the path, and adds that of what it says of the lesson."""
        found = self.method(views, targets.method, subnet)
        if targets.lesson_2BD is None:
            return found
        groups = 2 if self._both else 1
        (told_RD,) = in_groups(self._tell, found["projections"], groups)
        lesson = -self._weight * mean_cosine(told_RD, targets.lesson_2BD)
        return found | {"loss": found["loss"] + lesson, "lesson": lesson}

    def _tell(self, projection_BD: Tensor) -> tuple[Tensor]:
        return (F.normalize(self.head(projection_BD)),)

    def steady_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the method's own, and h′ where h is among them."""
        own = list(self.method.steady_parameters())
        return [*own, *self.head.parameters()] if own else own

    def skip_step(self) -> None:
        """Forgets the step of the method inside."""
        self.method.skip_step()

    def after_step(self) -> None:
        """Ends the step of the method."""
        self.method.after_step()

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the encoder of the method."""
        return self.method.encoder(weights)


def inherit(method: Method[Any], start: Method[Any]) -> None:
    """Puts all weights of an earlier run into a method, but no queue of keys.

    Raises:
        HwsearchError: If they do not fit.
    """
    state = {name: value for name, value in start.state_dict().items() if _QUEUE not in name}
    try:
        found = method.load_state_dict(state, strict=False)
    except RuntimeError as cause:
        raise _no_fit() from cause
    if found.unexpected_keys or not all(_QUEUE in name for name in found.missing_keys):
        raise _no_fit()


def _no_fit() -> HwsearchError:
    return HwsearchError(
        "the weights of --warm-start do not fit the networks of --space",
        fix="Use the space that --warm-start was trained with: NAME^4 goes on from 'NAME^4[max]'",
    )


def _predictor(method: Method[Any]) -> Mlp | None:
    student = getattr(method, "student", None)
    return student.predictor if isinstance(student, PredictingEncoder) else None
