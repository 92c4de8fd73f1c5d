"""The linear head: multinomial logistic regression, its penalty chosen from what it learns from.

Shapes: M images to learn from, N to tell, E features and a constant, C classes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from hwsearch.evaluate.folds import FOLDS, stratified_folds

PENALTIES = tuple(10 ** (-power / 2) for power in range(11))
"""Factors of half the squared weights that are tried, from the strongest on."""

STEPS = 200
"""Most steps of L-BFGS."""

TOLERANCE, TOLERANCE_OF_CHOICE = 1e-6, 1e-4
"""Steps end when the loss falls by less than this share; penalties differ by much more."""


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Scores of classes: a matrix on features, and a constant a class.

    Attributes:
        weights_EC: float64[E, C].
        bias_C: float64[C].
    """

    weights_EC: np.ndarray
    bias_C: np.ndarray

    def scores(self, features_NE: np.ndarray) -> np.ndarray:
        """Returns logarithms of unnormalised class probabilities, float64[N, C]."""
        return features_NE.astype(np.float64) @ self.weights_EC + self.bias_C


def linear_head(features_ME: np.ndarray, labels_M: np.ndarray, asked_NE: np.ndarray) -> np.ndarray:
    """Learns a linear classifier and tells the logarithms of class probabilities; see `Head`.

    Returns:
        float64[N, C].
    """
    return log_softmax(fit_linear(features_ME, labels_M).scores(asked_NE), axis=1)


def fit_linear(features_ME: np.ndarray, labels_M: np.ndarray) -> LinearClassifier:
    """Learns a linear classifier.

    Features are standardised; the mean log-loss plus a penalty on all weights but the constant's
    is minimised by L-BFGS. A fifth of the images to learn from is held back to choose the penalty:
    ever weaker ones are tried until the log-loss rises, and the one is taken at which a parabola
    through the least and its neighbours is least: the best of the tried ones would suit some widths
    by luck, and that would tell networks apart. All images then give the weights.

    Args:
        features_ME: float[M, E].
        labels_M: int[M], 0 to C - 1.
    """
    mean_E, scale_E = features_ME.mean(0), features_ME.std(0)
    scale_E = np.where(scale_E > 1e-12, scale_E, 1.0)
    x_ME = (features_ME - mean_E) / scale_E
    # A turn to the principal axes changes no penalty, and shows how curved the loss is along each.
    curvature_E, axes_EE = np.linalg.eigh(x_ME.T @ x_ME / len(x_ME))
    problem = _Problem(
        np.pad(x_ME @ axes_EE, ((0, 0), (0, 1)), constant_values=1).astype("f4"),
        labels_M,
        np.append(np.maximum(curvature_E, 0), 1.0) / (labels_M.max() + 1),
    )
    penalty, found_EC = _choose(problem, _held_back(labels_M))
    found_EC = problem.solve(penalty, found_EC, TOLERANCE)
    weights_EC = axes_EE @ found_EC[:-1] / scale_E[:, None]
    return LinearClassifier(weights_EC, found_EC[-1] - mean_E @ weights_EC)


def _held_back(labels_M: np.ndarray) -> np.ndarray:
    """Tells which images choose the penalty, bool[M]; of a class of one image there is none."""
    folds = min(FOLDS, int(np.bincount(labels_M)[labels_M].min()))
    if folds < 2:
        return np.arange(len(labels_M)) % FOLDS == 0
    return stratified_folds(labels_M, folds) == 0


@dataclass(frozen=True, eq=False)
class _Problem:
    """Images to learn from.

    Attributes:
        x_ME: Uncorrelated features and, last, the constant, float32[M, E].
        labels_M: int[M].
        curvature_E: About how curved the mean log-loss is along the weights of each.
    """

    x_ME: np.ndarray
    labels_M: np.ndarray
    curvature_E: np.ndarray

    def part(self, taken_M: np.ndarray) -> "_Problem":
        """Returns some of the images."""
        return _Problem(self.x_ME[taken_M], self.labels_M[taken_M], self.curvature_E)

    def log_loss(self, weights_EC: np.ndarray) -> float:
        """Returns the mean log-loss."""
        told_MC = log_softmax(self.x_ME @ weights_EC, axis=1)
        return -float(told_MC[np.arange(len(told_MC)), self.labels_M].mean())

    def solve(self, penalty: float, start_EC: np.ndarray, tolerance: float) -> np.ndarray:
        """Returns the weights of the least penalised log-loss, float64[E, C].

        Args:
            penalty: Factor of half the squared weights.
            start_EC: Where to begin.
            tolerance: The share of the loss below which a step ends the search.
        """
        x_ME, each_M = self.x_ME, np.arange(len(self.x_ME))
        penalty_E1 = np.full((x_ME.shape[1], 1), penalty, "f4")
        penalty_E1[-1] = 0
        unit_E1 = (1 / np.sqrt(self.curvature_E[:, None] + penalty_E1)).astype("f4")

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights_EC = unit_E1 * flat.reshape(start_EC.shape).astype("f4")
            told_MC = x_ME @ weights_EC
            told_MC -= told_MC.max(axis=1, keepdims=True)
            mean = -float(told_MC[each_M, self.labels_M].mean())
            np.exp(told_MC, out=told_MC)
            sums_M1 = told_MC.sum(axis=1, keepdims=True)
            mean += float(np.log(sums_M1).mean())
            told_MC /= sums_M1
            told_MC[each_M, self.labels_M] -= 1
            slopes_EC = unit_E1 * (x_ME.T @ told_MC / len(x_ME) + penalty_E1 * weights_EC)
            value = mean + float((penalty_E1 * weights_EC**2).sum()) / 2
            return value, slopes_EC.ravel().astype(np.float64)

        options = {"maxiter": STEPS, "ftol": tolerance, "gtol": 1e-5}
        start = (start_EC / unit_E1).ravel()
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        return unit_E1 * found.x.reshape(start_EC.shape)


def _choose(problem: _Problem, held_M: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the penalty of the least log-loss on what is held back, and weights near its own."""
    kept, held = problem.part(~held_M), problem.part(held_M)
    weights_EC = np.zeros((problem.x_ME.shape[1], problem.labels_M.max() + 1))
    nearest_EC, losses = weights_EC, []
    for penalty in PENALTIES:
        weights_EC = kept.solve(penalty, weights_EC, TOLERANCE_OF_CHOICE)
        losses.append(held.log_loss(weights_EC))
        if losses[-1] > min(losses):
            break
        nearest_EC = weights_EC
    return _penalty_of_least(losses), nearest_EC


def _penalty_of_least(losses: list[float]) -> float:
    """Returns where a parabola through the least of the first losses and its neighbours is least.

    It is one of the penalty's logarithm; at the ends, where a neighbour is missing, the end it is.
    """
    at = int(np.argmin(losses))
    if not 0 < at < len(losses) - 1:
        return PENALTIES[at]
    stronger, least, weaker = losses[at - 1 : at + 2]
    steps = (stronger - weaker) / (2 * (stronger - 2 * least + weaker))
    return PENALTIES[at] * (PENALTIES[1] / PENALTIES[0]) ** steps
