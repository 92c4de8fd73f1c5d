"""Distillation of an external teacher into every subnet, alone or beside another method.

Shapes: B batch, E embedding, D projection, T features of the teacher.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.nn import Supernet
from hwsearch.nn.processes import gather_rows
from hwsearch.selfsup.base import Method, Views, Weights, outputs, without_average
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.heads import Encoder, Mlp, MlpShape
from hwsearch.selfsup.losses import mean_cosine, relation_distance
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Subnet

T = TypeVar("T")


class TaughtMethod(Method[T]):
    """A method that needs an external teacher while it is trained, but not to be used."""

    def __init__(self) -> None:
        super().__init__()
        self._teachers: tuple[ExternalTeacher, ...] = ()

    def follow(self, teacher: ExternalTeacher) -> None:
        """Takes the teacher to train with; no checkpoint holds its weights."""
        self._teachers = (teacher,)  # in a tuple, torch does not take it for a part

    def lesson(self, views: Views) -> Tensor:
        """Computes the teacher's features [B, T] of the query view."""
        (teacher,) = self._teachers
        return teacher(views.query_BCHW)


@dataclass(frozen=True)
class DistilledTargets(Generic[T]):
    """What every subnet of a step is compared with.

    Attributes:
        method: The targets of the method beside; None where there is none.
        lesson_BT: Features of the external teacher.
    """

    method: T
    lesson_BT: Tensor


class Distil(TaughtMethod[DistilledTargets[None]]):
    """Learns from an external teacher alone.

    With `features` the projections are what a head makes of the teacher's features; with
    `relations` there is no head.

    Args:
        supernet: What to train.
        settings: Form of the loss, head and width of the teacher.
    """

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        with_head = settings.distil == "features"
        self.online = Encoder(supernet, _shape(settings) if with_head else None)

    def targets(self, views: Views, leader: Subnet | None = None) -> DistilledTargets[None]:
        """Computes the teacher's features."""
        return DistilledTargets(None, self.lesson(views))

    def forward(
        self, views: Views, targets: DistilledTargets[None], subnet: Subnet
    ) -> dict[str, Tensor]:
        """Computes how far one subnet is from the teacher."""
        projection_BD, embedding_BE = self.online.run(views.query_BCHW, subnet)
        loss = (
            _feature_distance(projection_BD, targets.lesson_BT)
            if self.settings.distil == "features"
            else _relation_distance(embedding_BE, targets.lesson_BT)
        )
        return outputs(loss, projection_BD, embedding_BE)

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder; there is no other."""
        return without_average("distil", weights, self.online)


class Distilled(TaughtMethod[DistilledTargets[Any]]):
    """Another method, with the distance to an external teacher added to its loss.

    Args:
        method: The other method.
        settings: Form and weight of the distance, head and width of the teacher.
    """

    def __init__(self, method: Method[Any], settings: MethodSettings) -> None:
        super().__init__()
        self.method, self.settings = method, settings
        self.weak_key = method.weak_key
        width = method.encoder("online").supernet.embedding_width
        self.head = Mlp(width, _shape(settings)) if settings.distil == "features" else None

    def targets(self, views: Views, leader: Subnet | None = None) -> DistilledTargets[Any]:
        """Computes the method's targets and the teacher's features."""
        return DistilledTargets(self.method.targets(views, leader), self.lesson(views))

    def forward(
        self, views: Views, targets: DistilledTargets[Any], subnet: Subnet
    ) -> dict[str, Tensor]:
        """Computes the loss of one subnet, and adds its distance to the teacher."""
        found = self.method(views, targets.method, subnet)
        if self.head is None:
            distance = _relation_distance(found["embedding"], targets.lesson_BT)
        else:
            projection_BT = F.normalize(self.head(found["embedding"]))
            distance = _feature_distance(projection_BT, targets.lesson_BT)
        return found | {"loss": found["loss"] + self.settings.distil_weight * distance}

    def steady_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the method's own."""
        return self.method.steady_parameters()

    def skip_step(self) -> None:
        """Forgets the step of the method inside."""
        self.method.skip_step()

    def after_step(self) -> None:
        """Ends the step of the method."""
        self.method.after_step()

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the encoder of the method."""
        return self.method.encoder(weights)


def _shape(settings: MethodSettings) -> MlpShape:
    return MlpShape(settings.projection_hidden, settings.teacher_width)


def _feature_distance(projection_BT: Tensor, lesson_BT: Tensor) -> Tensor:
    return 1 - mean_cosine(projection_BT, F.normalize(lesson_BT))


def _relation_distance(embedding_BE: Tensor, lesson_BT: Tensor) -> Tensor:
    """Compares the relations of all processes' images; each process computes all of them."""
    return relation_distance(gather_rows(embedding_BE), gather_rows(lesson_BT))
