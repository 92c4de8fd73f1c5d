"""How two descriptions of the same images are compared: one distance an image."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor


class Description(ABC):
    """What is compared of two networks, told from their pooled features.

    Attributes:
        by_image: Whether the description of an image does not depend on the others.
    """

    by_image: bool

    @abstractmethod
    def describe(self, embeddings_BE: np.ndarray, /) -> Tensor:
        """Returns what is compared, a row an image."""

    def describe_teacher(self, embeddings_BE: np.ndarray, /) -> Tensor:
        """Returns what others are compared with, a row an image."""
        return self.describe(embeddings_BE)

    @abstractmethod
    def compare(self, student_BD: Tensor, teacher_BD: Tensor, /) -> Tensor:
        """Returns the distance of each image, [B]."""


def row_distance(student_BD: Tensor, teacher_BD: Tensor) -> Tensor:
    """1 − cos of each row, computed as half the squared distance of unit vectors.

    That form is exactly 0 for equal inputs, which 1 − cos is not in floating point.

    Args:
        student_BD: L2-normalised rows, one an image.
        teacher_BD: L2-normalised rows of the same images.

    Returns:
        [B].
    """
    return (student_BD - teacher_BD).square().sum(1) / 2
