"""Classification without a head: how much of the teacher is linear in a network's features.

A linear classifier on features learns what is linear in them. With no labels at hand, the features
of a good teacher stand for all that a label might ask.

Shapes: N target images, K known ones and A asked about, E pooled features, T those of the teacher.
"""

import numpy as np
import torch
from torch import Tensor
from torch.linalg import cholesky

SHRINKAGE = 0.01
"""Ridge penalty, where each image's standardised features have a mean square of about 1."""


class Regression:
    """1 − R² of a ridge regression of the teacher's features on those of a network.

    Each half of the images is predicted by what the other taught, so that width alone gains
    nothing. The teacher itself is therefore not at 0, but near it if there are enough images.
    """

    by_image = False

    def describe(self, embeddings_NE: np.ndarray) -> Tensor:
        """Returns pooled features, float64[N, E]."""
        return torch.from_numpy(embeddings_NE.astype(np.float64))

    def compare(self, student_NE: Tensor, teacher_NT: Tensor) -> Tensor:
        """Returns the squared error of each image over the mean variance, [N]."""
        x_NE = student_NE - student_NE.mean(0)
        x_NE = x_NE / x_NE.square().mean(0).sqrt().clamp_min(1e-9)
        first_N = torch.arange(len(x_NE)) % 2 == 0
        error_N, variance_N = torch.empty_like(x_NE[:, 0]), torch.empty_like(x_NE[:, 0])
        for known in (first_N, ~first_N):
            mean_T = teacher_NT[known].mean(0)
            asked_AT = teacher_NT[~known] - mean_T
            told_AT = _ridge(x_NE[known], teacher_NT[known] - mean_T, x_NE[~known])
            error_N[~known] = (asked_AT - told_AT).square().sum(1)
            variance_N[~known] = asked_AT.square().sum(1)
        return error_N / variance_N.mean().clamp_min(1e-30)


def _ridge(known_KE: Tensor, taught_KT: Tensor, asked_AE: Tensor) -> Tensor:
    """Predicts [A, T]; solves for features or for images, whichever are fewer, to the same end."""
    images, width = known_KE.shape
    if width < images:
        gram_EE = known_KE.T @ known_KE / width
        gram_EE.diagonal().add_(SHRINKAGE)
        learnt_ET = torch.cholesky_solve(known_KE.T @ taught_KT / width, cholesky(gram_EE))
        return asked_AE @ learnt_ET
    gram_KK = known_KE @ known_KE.T / width
    gram_KK.diagonal().add_(SHRINKAGE)
    weights_KA = torch.cholesky_solve(known_KE @ asked_AE.T / width, cholesky(gram_KK))
    return weights_KA.T @ taught_KT
