"""SimSiam on a supernet: subnets predict the maximum as it is now (arXiv 2011.10566).

Shapes: B batch, 2B two views of it, E embedding, D projection.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from hwsearch.nn import Supernet
from hwsearch.selfsup.base import Method, Projections, Views, Weights, outputs, without_average
from hwsearch.selfsup.heads import Encoder, MlpShape
from hwsearch.selfsup.prediction import PredictingEncoder, project_both
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Subnet


class SimSiam(Method[Projections]):
    """Prediction of the maximum's projection of the other view, whose gradient is stopped.

    Args:
        supernet: What to train.
        settings: Heads.
    """

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        hidden, out = settings.projection_hidden, settings.projection
        shape = MlpShape(hidden, out, layers=3, hidden_norm=True, out_norm=True)
        self.student = PredictingEncoder(supernet, shape, settings.predictor_hidden)

    def targets(self, views: Views, leader: Subnet | None = None) -> Projections:
        """Computes the leader's projections of both views."""
        return Projections(project_both(self.student.encoder, views, leader))

    def forward(self, views: Views, targets: Projections, subnet: Subnet) -> dict[str, Tensor]:
        """Computes −cos of one subnet's predictions, the mean of both directions."""
        cosine, projections_2BD, embedding_BE = self.student(views, targets.both_2BD, subnet)
        return outputs(-cosine, projections_2BD, embedding_BE)

    def steady_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the predictor's: it keeps up with the latest projections (section 4.2)."""
        return self.student.predictor.parameters()

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder; there is no other."""
        return without_average("simsiam", weights, self.student.encoder)
