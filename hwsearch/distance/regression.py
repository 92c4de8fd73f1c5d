"""Classification without a head: how much of the teacher is linear in a network's features.

A linear classifier on features learns what is linear in them. With no labels at hand, the features
of a good teacher stand for all that a label might ask.

Shapes: N target images, K known ones and A asked about, E pooled features, T those of the teacher,
D principal axes, P penalties.
"""

import numpy as np
import torch
from torch import Tensor
from torch.linalg import eigh

from hwsearch.distance.compare import Description

PENALTIES = 10 ** torch.arange(-3, 2.25, 0.25, dtype=torch.float64)
"""Ridge penalties to choose from, where the squares of each image's features add up to about 1."""

NOTHING = 1e-12
"""Share of the largest spread below which an axis is noise of the arithmetic."""

_HALVES = slice(0, None, 2), slice(1, None, 2)


class Regression(Description):
    """1 − R² of a ridge regression of the teacher's features on those of a network.

    Each half of the images is predicted by what the other taught, with the penalty that suits it
    by generalised cross-validation, so that neither wide networks nor narrow ones gain by their
    width alone. The teacher itself is therefore not at 0, but near it if there are enough images.
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
            # From here on features are told from the mean of the known ones.
            to_mean_N = teacher_NN[known].mean(0)
            to_mean_N -= to_mean_N[known].mean() / 2
            known_K, asked_A = to_mean_N[known], to_mean_N[asked]
            among_KK = teacher_NN[known, known] - known_K - known_K[:, None]
            across_KA = teacher_NN[known, asked] - asked_A - known_K[:, None]
            variance_N[asked] = teacher_NN.diagonal()[asked] - 2 * asked_A
            weights_KA = _ridge(student_NE[known], alike_KA, among_KK)
            # |y − Σ w y'|², multiplied out.
            beyond_A = (weights_KA * (among_KK @ weights_KA - 2 * across_KA)).sum(0)
            error_N[asked] = variance_N[asked] + beyond_A
        return error_N / variance_N.mean().clamp_min(1e-30)


def _ridge(known_KE: Tensor, alike_KA: Tensor, teacher_KK: Tensor) -> Tensor:
    """Returns what each known image weighs in the prediction of each asked one, [K, A].

    Args:
        known_KE: Features of those known.
        alike_KA: Their inner products with those of the asked ones.
        teacher_KK: Inner products of what is known of the teacher.
    """
    axes_KD, spread_D = _principal(known_KE)
    penalty = _penalty(axes_KD, spread_D, teacher_KK)
    return axes_KD @ ((axes_KD.T @ alike_KA) / (spread_D + penalty)[:, None])


def _principal(x_KE: Tensor) -> tuple[Tensor, Tensor]:
    """Returns principal axes among images, [K, D], and the squares of features along each, [D].

    Solves for features or for images, whichever are fewer, to the same end.
    """
    images, width = x_KE.shape
    spread_D, axes = eigh(x_KE.T @ x_KE if width < images else x_KE @ x_KE.T)
    seen = spread_D > NOTHING * spread_D[-1]
    spread_D, axes = spread_D[seen], axes[:, seen]
    return (x_KE @ axes / spread_D.sqrt() if width < images else axes), spread_D


def _penalty(axes_KD: Tensor, spread_D: Tensor, teacher_KK: Tensor) -> Tensor:
    """Returns the penalty with the least error by generalised cross-validation."""
    left_PD = PENALTIES[:, None] / (spread_D + PENALTIES[:, None])
    along_D = (axes_KD * (teacher_KK @ axes_KD)).sum(0)
    beyond = teacher_KK.trace() - along_D.sum()
    error_P = left_PD.square() @ along_D + beyond
    freedom_P = left_PD.sum(1) + len(axes_KD) - len(spread_D)
    return PENALTIES[(error_P / freedom_P.square()).argmin()]
