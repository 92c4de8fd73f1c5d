"""The teacher, and the distance of a network to it: lower is better, 0 is the teacher itself."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from hwsearch.distance.compare import cosine_distance, relations
from hwsearch.distance.students import Students, SupernetStudents
from hwsearch.journal import write_atomic
from hwsearch.space import Subnet

DistanceKind = Literal["projection", "relation"]


@dataclass(frozen=True)
class Teacher:
    """The network that students should be close to.

    Attributes:
        students: Where it comes from; they look at the same images.
        subnet: Which of them it is.
    """

    students: Students
    subnet: Subnet

    @property
    def fingerprint(self) -> str:
        """Names everything but the images that its embeddings depend on."""
        return self.students.fingerprint(self.subnet)

    def embeddings(self, cache: Path | None) -> np.ndarray:
        """Computes the pooled features of the images, or takes them from the cache.

        Args:
            cache: Folder that keeps them, or None to keep none.

        Returns:
            float32[N, E].
        """
        if cache is None:
            return self.students.embeddings(self.subnet)
        parts = f"{self.fingerprint}|{self.students.images.fingerprint}"
        path = cache / f"teacher-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.safetensors"
        try:
            return load_file(path)["embedding"]
        except (FileNotFoundError, SafetensorError, KeyError):
            embeddings_NE = self.students.embeddings(self.subnet)
        write_atomic(path, save({"embedding": np.ascontiguousarray(embeddings_NE)}))
        return embeddings_NE


class TeacherDistance:
    """Distance of networks to a teacher, on unlabelled images and without any adapter to train.

    "projection" is the cosine distance of the projections that were trained together (DATA,
    arXiv 2203.09041): student and teacher are of one supernet. "relation" compares how similar
    the images are to each other, and takes networks of any origin and width.

    Args:
        kind: "projection" or "relation".
        students: The networks.
        teacher: What they are compared with; one of the same students for "projection".
        cache: Folder that keeps the teacher's embeddings, or None to keep none.
    """

    def __init__(
        self,
        kind: DistanceKind,
        students: Students,
        teacher: Teacher,
        *,
        cache: Path | None = None,
    ) -> None:
        self.kind: DistanceKind = kind
        self.students = students
        self._describe = _describer(kind, students)
        with _one_thread():
            self._teacher_BD = self._describe(teacher.embeddings(cache))

    def __call__(self, subnet: Subnet) -> float:
        """Returns the distance of a network, at least 0."""
        with _one_thread():
            return self.of_embeddings(self.students.embeddings(subnet))

    def of_embeddings(self, embeddings_NE: np.ndarray) -> float:
        """Returns the distance of pooled features, of a network or of an engine.

        Args:
            embeddings_NE: Output for the target images, in their order.
        """
        return cosine_distance(self._describe(embeddings_NE), self._teacher_BD)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Computes on one core: the last digits of a sum can depend on how many share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _describer(kind: DistanceKind, students: Students) -> Callable[[np.ndarray], Tensor]:
    if kind == "relation":
        return relations
    assert isinstance(students, SupernetStudents)
    return students.project
