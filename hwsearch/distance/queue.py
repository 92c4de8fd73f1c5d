"""Classification by the training's memory: which older keys an image is like."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from hwsearch.distance.compare import Description
from hwsearch.distance.students import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.queue import NOBODY, KeyQueue

MOST_KEYS = 4096
"""Keys that are used, evenly spaced over the queue: enough, and what memory can hold."""


class QueueRelation(Description):
    """KL divergence of how two networks spread an image's likeness over the queue.

    ReSSL's relation (arXiv 2107.09282) at one temperature for both sides, so that equal
    projections are at distance 0.

    Args:
        students: Networks of a run whose method keeps a queue.

    Raises:
        HwsearchError: If there is none, or nothing was put into it.
    """

    def __init__(self, students: SupernetStudents) -> None:
        self._students = students
        self.by_image = True
        keys_KD = _keys(students)
        if len(keys_KD) < 2:
            raise HwsearchError(
                "--distance queue needs a run that has filled a queue of keys",
                where=students.run.path,
                fix="Use --distance projection, or train with --method moco-v2 or ressl",
            )
        self._keys_KD = keys_KD
        self._temperature = students.run.header.settings.temperature

    def describe(self, embeddings_BE: np.ndarray) -> Tensor:
        """Returns logarithms of the shares of all keys, float64[B, K]."""
        similarity_BK = self._students.project(embeddings_BE) @ self._keys_KD.T
        return (similarity_BK.double() / self._temperature).log_softmax(1)

    def compare(self, student_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """Returns the divergence of each image, [B]."""
        return F.kl_div(student_BK, teacher_BK, reduction="none", log_target=True).sum(1)


def _keys(students: SupernetStudents) -> Tensor:
    """Returns keys of the method's first queue, which holds images rather than positions."""
    queues = (part for part in students.run.method.modules() if isinstance(part, KeyQueue))
    queue = next(queues, KeyQueue(0, 1))
    keys_KD = queue.keys_KD[queue.owners_K != NOBODY]
    return keys_KD[:: max(1, -(-len(keys_KD) // MOST_KEYS))]
