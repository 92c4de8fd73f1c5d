"""What is compared of two networks: rows of length 1, one for each image, and their distance."""

import numpy as np
import torch
from torch import Tensor


def cosine_distance(student_BD: Tensor, teacher_BD: Tensor) -> float:
    """Mean of 1 − cos over images, computed as half the squared distance of unit vectors.

    That form is exactly 0 for equal inputs, which 1 − cos is not in floating point.

    Args:
        student_BD: L2-normalised rows, one an image.
        teacher_BD: L2-normalised rows of the same images.
    """
    return float((student_BD - teacher_BD).square().sum(1).mean() / 2)


def relations(embeddings_NE: np.ndarray) -> Tensor:
    """Tells how similar each image is to every other one, for networks of any width.

    The relation matrix of DATA (arXiv 2203.09041) is taken over images instead of positions:
    embeddings are centred over the images and L2-normalised, and each row of F Fᵀ has length 1.
    It needs no adapter: width, rotation and scale of the embeddings do not matter. The relations
    of two networks are compared by `cosine_distance`.

    Args:
        embeddings_NE: Pooled features, float[N, E].

    Returns:
        float64[N, N].
    """
    features = torch.from_numpy(embeddings_NE.astype(np.float64))
    features = torch.nn.functional.normalize(features - features.mean(0))
    return torch.nn.functional.normalize(features @ features.T)
