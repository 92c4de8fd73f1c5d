"""How two descriptions of the same images are compared: one distance an image."""

from torch import Tensor


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
