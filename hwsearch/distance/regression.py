"""Classification without a head: how much of the teacher is linear in a network's features.

A linear classifier on features learns what is linear in them. With no labels at hand, the features
of a good teacher stand for all that a label might ask.

Shapes: N target images, K known ones and A asked about, E pooled features, T those of the teacher.
"""

import numpy as np
import torch
from torch import Tensor
from torch.linalg import cholesky

from hwsearch.distance.compare import Description

SHRINKAGE = 0.01
"""Ridge penalty, where the squares of each image's features add up to about 1."""

_HALVES = slice(0, None, 2), slice(1, None, 2)


class Regression(Description):
    """1 − R² of a ridge regression of the teacher's features on those of a network.

    Each half of the images is predicted by what the other taught, so that width alone gains
    nothing. The teacher itself is therefore not at 0, but near it if there are enough images.
    """

    by_image = False

    def describe(self, embeddings_NE: np.ndarray) -> Tensor:
        """Returns centred pooled features of one variance, float64[N, E]; lengths are about 1."""
        x_NE = torch.from_numpy(embeddings_NE.astype(np.float64))
        x_NE = x_NE - x_NE.mean(0)
        spread_E = x_NE.square().mean(0).sqrt().clamp_min(1e-9)
        return x_NE / (spread_E * x_NE.shape[1] ** 0.5)

    def describe_teacher(self, embeddings_NT: np.ndarray) -> Tensor:
        """Returns inner products of centred pooled features, float64[N, N].

        They are all that errors depend on, and fewer than the features of many teachers.
        """
        y_NT = torch.from_numpy(embeddings_NT.astype(np.float64))
        y_NT = y_NT - y_NT.mean(0)
        return y_NT @ y_NT.T

    def compare(self, student_NE: Tensor, teacher_NN: Tensor) -> Tensor:
        """Returns the squared error of each image over the mean variance, [N].

        NaN where a feature is no number: of an engine that computes wrongly, for one.
        """
        if not student_NE.isfinite().all():
            return torch.full_like(teacher_NN[0], torch.nan)
        error_N, variance_N = torch.empty_like(teacher_NN[0]), torch.empty_like(teacher_NN[0])
        first, second = _HALVES
        across_FS = student_NE[first] @ student_NE[second].T
        for known, asked, alike_KA in ((first, second, across_FS), (second, first, across_FS.T)):
            weights_KA = _ridge(student_NE[known], student_NE[asked], alike_KA)
            # From here on features are told from the mean of the known ones.
            to_mean_N = teacher_NN[known].mean(0)
            to_mean_N -= to_mean_N[known].mean() / 2
            known_K, asked_A = to_mean_N[known], to_mean_N[asked]
            among_KK = teacher_NN[known, known] - known_K - known_K[:, None]
            across_KA = teacher_NN[known, asked] - asked_A - known_K[:, None]
            variance_N[asked] = teacher_NN.diagonal()[asked] - 2 * asked_A
            # |y − Σ w y'|², multiplied out.
            beyond_A = (weights_KA * (among_KK @ weights_KA - 2 * across_KA)).sum(0)
            error_N[asked] = variance_N[asked] + beyond_A
        return error_N / variance_N.mean().clamp_min(1e-30)


def _ridge(known_KE: Tensor, asked_AE: Tensor, alike_KA: Tensor) -> Tensor:
    """Returns what each known image weighs in the prediction of each asked one, [K, A].

    Solves for features or for images, whichever are fewer, to the same end.

    Args:
        known_KE: Features of those known.
        asked_AE: Features of those asked about.
        alike_KA: Their inner products.
    """
    images, width = known_KE.shape
    if width < images:
        gram_EE = known_KE.T @ known_KE
        gram_EE.diagonal().add_(SHRINKAGE)
        return known_KE @ torch.cholesky_solve(asked_AE.T, cholesky(gram_EE))
    gram_KK = known_KE @ known_KE.T
    gram_KK.diagonal().add_(SHRINKAGE)
    return torch.cholesky_solve(alike_KA, cholesky(gram_KK))
