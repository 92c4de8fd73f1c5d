"""Classification: the cosine distance of the projections that were trained together."""

import numpy as np
from torch import Tensor, nn

from hwsearch.distance.compare import Description, row_distance
from hwsearch.distance.students import SupernetStudents


class Projection(Description):
    """1 − cos of the L2-normalised projections of each image (DATA, arXiv 2203.09041).

    Student and teacher are of one supernet, which has a projection head.

    Args:
        students: The networks.
    """

    def __init__(self, students: SupernetStudents) -> None:
        self._students = students
        head = students.run.method.encoder(students.weights).projector
        self.by_image = not any(isinstance(part, nn.BatchNorm1d) for part in head.modules())

    def describe(self, embeddings_BE: np.ndarray) -> Tensor:
        """Returns projections, [B, D]."""
        return self._students.project(embeddings_BE)

    def compare(self, student_BD: Tensor, teacher_BD: Tensor) -> Tensor:
        """Returns the distance of each image, [B]."""
        return row_distance(student_BD, teacher_BD)
