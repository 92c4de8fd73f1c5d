"""The distance of pooled features to those of a teacher, whatever is compared of them.

Shapes: B images of a batch, N all target images, E pooled features, D what is compared.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.base import DeliveredDistance, Outputs, one_thread
from hwsearch.distance.compare import Description
from hwsearch.distance.projection import Projection
from hwsearch.distance.queue import QueueRelation
from hwsearch.distance.regression import Regression
from hwsearch.distance.relation import Relation
from hwsearch.distance.students import SeenStudents, Students, SupernetStudents
from hwsearch.distance.teacher import Teacher
from hwsearch.space import Subnet

PooledKind = Literal["projection", "relation", "regression", "queue"]


class TeacherDistance(DeliveredDistance):
    """Distance of networks to a teacher by their pooled features, without any adapter to train.

    Args:
        kind: "projection", "relation", "regression" or "queue".
        students: The networks.
        teacher: What they are compared with; one of the same students unless for
            "relation" and "regression".
        cache: Folder that keeps the teacher's features, or None to keep none.
    """

    of_maps = False

    def __init__(
        self,
        kind: PooledKind,
        students: Students,
        teacher: Teacher,
        *,
        cache: Path | None = None,
    ) -> None:
        self.kind: PooledKind = kind
        self.students = students
        self._description = _description(kind, students)
        self.by_image = self._description.by_image
        with one_thread():
            embeddings_NE = teacher.embeddings(cache)
            describe = self._description.describe_teacher
            described = [describe(batch_BE) for batch_BE in self._batches(embeddings_NE)]
        self._teacher_rows = torch.cat(described)

    def __len__(self) -> int:
        """Returns how many images there are."""
        return len(self.students.images)

    def rows(self, subnet: Subnet) -> Iterator[Tensor]:
        """Yields the distances of one network for each image, [B]."""
        if self.by_image and isinstance(self.students, SeenStudents):
            observed = self.students.observe(subnet)
            return self._rows(features.embedding.cpu().numpy() for features in observed)
        return self._rows(self._batches(self.students.embeddings(subnet)))

    def of_embeddings(self, embeddings_NE: np.ndarray) -> float:
        """Returns the distance of pooled features, of a network or of an engine.

        Args:
            embeddings_NE: Output for the target images, in their order.
        """
        with one_thread():
            return float(torch.cat(list(self._rows(self._batches(embeddings_NE)))).mean())

    def of_outputs(self, batches: Iterable[Outputs]) -> float:
        """Returns the distance of embeddings [B, E] or [B, E, 1, 1]."""
        found = [outputs[0].reshape(len(outputs[0]), -1) for outputs in batches]
        return self.of_embeddings(np.concatenate(found))

    def _batches(self, embeddings_NE: np.ndarray) -> Iterator[np.ndarray]:
        batch = self.students.images.batch if self.by_image else len(embeddings_NE)
        return (embeddings_NE[at : at + batch] for at in range(0, len(embeddings_NE), batch))

    def _rows(self, batches: Iterable[np.ndarray]) -> Iterator[Tensor]:
        at = 0
        for embeddings_BE in batches:
            teacher_BD = self._teacher_rows[at : at + len(embeddings_BE)]
            student_BD = self._description.describe(embeddings_BE)
            yield self._description.compare(student_BD, teacher_BD)
            at += len(embeddings_BE)


def _description(kind: PooledKind, students: Students) -> Description:
    if kind == "relation":
        return Relation()
    if kind == "regression":
        return Regression()
    assert isinstance(students, SupernetStudents)
    return Projection(students) if kind == "projection" else QueueRelation(students)
