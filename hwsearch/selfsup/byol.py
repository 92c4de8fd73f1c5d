"""BYOL on a supernet: subnets predict a slow copy of the maximum (arXiv 2006.07733).

Shapes: B batch, 2B two views of it, E embedding, D projection.
"""

from torch import Tensor

from hwsearch.nn import Supernet
from hwsearch.selfsup.base import Method, Projections, Views, Weights, outputs
from hwsearch.selfsup.heads import Encoder, MlpShape
from hwsearch.selfsup.prediction import PredictingEncoder, project_both
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.teacher import EmaTeacher
from hwsearch.space import Subnet


class Byol(Method[Projections]):
    """Prediction of the teacher's projection of the other view, without negatives.

    Args:
        supernet: What to train.
        settings: Heads and teacher.
    """

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        shape = MlpShape(settings.projection_hidden, settings.projection, hidden_norm=True)
        self.student = PredictingEncoder(supernet, shape, settings.predictor_hidden)
        self.teacher = EmaTeacher(self.student.encoder, settings)
        self._progress = 0.0

    def targets(self, views: Views, leader: Subnet | None = None) -> Projections:
        """Computes the teacher's projections of both views, at the leader."""
        self._progress = views.progress
        return Projections(project_both(self.teacher.module, views, leader))

    def forward(self, views: Views, targets: Projections, subnet: Subnet) -> dict[str, Tensor]:
        """Computes 2 − 2 cos of one subnet's predictions, summed over both directions."""
        cosine, projections_2BD, embedding_BE = self.student(views, targets.both_2BD, subnet)
        return outputs(2 * (2 - 2 * cosine), projections_2BD, embedding_BE)

    def after_step(self) -> None:
        """Moves the teacher."""
        self.teacher.update(self.student.encoder, self._progress)

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder or its slow copy."""
        return self.student.encoder if weights == "online" else self.teacher.module
