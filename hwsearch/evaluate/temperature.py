"""Temperature scaling (arXiv 1706.04599): networks that are too sure of themselves, made honest.

Large networks that were trained long on few images give their errors too little probability, so
that their log-loss tells this more than what they know. One number a network mends it.

Shapes: N images, C classes.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from hwsearch.data.draws import permutation

WIDEST = 4.0
"""Bounds of the logarithm of the temperature."""


def tempered(logits_NC: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Divides logits by the temperature of least log-loss on other images.

    Args:
        logits_NC: Of images that taught nothing; one half gives the temperature of the other.
        labels: Their classes, int[N].

    Returns:
        Logarithms of class probabilities, float64[N, C], which order classes as before; those of
        a single image, which no other one mends, as they are.
    """
    if not np.isfinite(logits_NC).all():
        return logits_NC  # which no verdict takes
    if len(labels) == 1:
        return log_softmax(logits_NC, axis=1)
    halves_N = permutation(len(labels)) % 2
    told_NC = np.empty(logits_NC.shape)
    for half in (0, 1):
        asked = halves_N == half
        temperature = _temperature(logits_NC[~asked], labels[~asked])
        told_NC[asked] = log_softmax(logits_NC[asked] / temperature, axis=1)
    return told_NC


def _temperature(logits_NC: np.ndarray, labels: np.ndarray) -> float:
    rows = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        return -log_softmax(logits_NC / np.exp(log_temperature), axis=1)[rows, labels].mean()

    found = minimize_scalar(log_loss, bounds=(-WIDEST, WIDEST), method="bounded")
    return float(np.exp(found.x))
