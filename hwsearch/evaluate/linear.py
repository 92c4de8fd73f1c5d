"""The linear head: multinomial logistic regression, its penalty chosen from what it learns from.

Shapes: M images to learn from, N to tell, E features and a constant, C classes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from hwsearch.evaluate.folds import FOLDS, stratified_folds

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Factors of half the squared weights that are tried, from the strongest on."""

STEPS = 200
"""Most steps of L-BFGS."""


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
    ever weaker ones are tried until the log-loss rises. All of them then give the weights.

    Args:
        features_ME: float[M, E].
        labels_M: int[M], 0 to C - 1.
    """
    mean_E, scale_E = features_ME.mean(0), features_ME.std(0)
    scale_E = np.where(scale_E > 1e-12, scale_E, 1.0)
    x_ME = np.pad((features_ME - mean_E) / scale_E, ((0, 0), (0, 1)), constant_values=1)
    x_ME, known_MC = x_ME.astype("f4"), np.eye(labels_M.max() + 1, dtype="f4")[labels_M]
    penalty, found_EC = _choose(x_ME, known_MC, _held_back(labels_M))
    found_EC = _fit(x_ME, known_MC, penalty, found_EC)
    weights_EC = found_EC[:-1] / scale_E[:, None]
    return LinearClassifier(weights_EC, found_EC[-1] - mean_E @ weights_EC)


def _held_back(labels_M: np.ndarray) -> np.ndarray:
    """Tells which images choose the penalty, bool[M]; of a class of one image there is none."""
    folds = min(FOLDS, int(np.bincount(labels_M)[labels_M].min()))
    if folds < 2:
        return np.arange(len(labels_M)) % FOLDS == 0
    return stratified_folds(labels_M, folds) == 0


def _choose(x_ME: np.ndarray, known_MC: np.ndarray, held_M: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the penalty of the least log-loss on what is held back, and its weights."""
    weights_EC = np.zeros((x_ME.shape[1], known_MC.shape[1]))
    best = (np.inf, PENALTIES[0], weights_EC)
    for penalty in PENALTIES:
        weights_EC = _fit(x_ME[~held_M], known_MC[~held_M], penalty, weights_EC)
        told = log_softmax(x_ME[held_M] @ weights_EC, axis=1)
        log_loss = -float((told * known_MC[held_M]).sum())
        if log_loss > best[0]:
            break
        best = (log_loss, penalty, weights_EC)
    return best[1:]


def _fit(
    x_ME: np.ndarray, known_MC: np.ndarray, penalty: float, start_EC: np.ndarray
) -> np.ndarray:
    """Returns the weights of the least penalised log-loss, float64[E, C]."""

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights_EC = flat.reshape(start_EC.shape).astype(x_ME.dtype)
        told_MC = log_softmax(x_ME @ weights_EC, axis=1)
        slopes_EC = x_ME.T @ (np.exp(told_MC) - known_MC) / len(x_ME)
        slopes_EC[:-1] += penalty * weights_EC[:-1]
        mean = -float((told_MC * known_MC).sum()) / len(x_ME)
        value = mean + penalty / 2 * float((weights_EC[:-1] ** 2).sum())
        return value, slopes_EC.ravel().astype(np.float64)

    options = {"maxiter": STEPS, "ftol": 1e-6, "gtol": 1e-5}
    found = minimize(loss, start_EC.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(start_EC.shape)
