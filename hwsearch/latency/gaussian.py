"""Gaussian process regression for tables of a few dozen to a few hundred rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

TYPICAL = np.log([0.015, 0.05, 1.5, 0.05])
"""Prior medians: unexplained rest, size and reach of the smooth part, size of the linear part."""

SPREAD = 1.5
"""Prior standard deviation of each of these, in logarithms."""

MOST = 5
"""Standard deviations from the prior that are looked at: a first step may go where nothing can be
computed any more."""


@dataclass(frozen=True)
class GaussianProcess:
    """What is known of a function after some noisy values of it.

    The kernel is a constant, a linear and a squared-exponential part over F features of
    comparable scale (Rasmussen and Williams 2006, chapters 2 and 5). Targets should be
    relative quantities around zero, such as log ratios.

    Attributes:
        inputs: Features of the rows, float[n, F].
        theta: Logarithms of the four hyperparameters that `TYPICAL` names.
        weights: Kernel-inverse times the centred targets, float[n].
        whitener: Inverse of the Cholesky factor of the rows' covariance, float[n, n].
        centre: Median of the targets.
        noise: Typical standard deviation of a row's own noise.
    """

    inputs: np.ndarray
    theta: np.ndarray
    weights: np.ndarray
    whitener: np.ndarray
    centre: float
    noise: float

    @classmethod
    def fit(
        cls,
        inputs: np.ndarray,
        targets: np.ndarray,
        noise: np.ndarray,
        *,
        start: np.ndarray = TYPICAL,
    ) -> "GaussianProcess":
        """Finds the most probable hyperparameters and conditions on the rows.

        Args:
            inputs: float[n, F], of comparable scale.
            targets: float[n].
            noise: Standard deviation of each target's noise, float[n].
            start: Hyperparameters to search from, float[4], as `theta`.
        """
        from scipy.optimize import minimize

        centre = float(np.median(targets))
        products = _products(inputs, inputs)
        pieces = _Pieces(_distances(inputs, inputs, products), products, noise)
        found = minimize(
            pieces.loss,
            start,
            (targets - centre,),
            "L-BFGS-B",
            jac=True,
            bounds=np.stack([TYPICAL - MOST * SPREAD, TYPICAL + MOST * SPREAD], axis=1),
            options={"maxiter": 50},
        )
        factor = np.linalg.cholesky(pieces.covariance(found.x)[0])
        whitener = np.linalg.solve(factor, np.eye(len(targets)))
        weights = whitener.T @ (whitener @ (targets - centre))
        typical_noise = float(np.median(noise))
        return cls(inputs, found.x, weights, whitener, centre, typical_noise)

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the expected values at float[N, F], float[N]."""
        found = self._bumps(inputs) @ self.weights
        found += inputs @ self._slope
        found += self.weights.sum() + self.centre
        return found

    def mean_and_deviation(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the expected values of new noisy targets and their deviations, float[N] each."""
        rest, smooth, _, linear = np.exp(2 * self.theta)
        cross = self._cross(inputs)
        prior = 1 + smooth + linear * (inputs**2).mean(1) + rest + self.noise**2
        known = ((cross @ self.whitener.T) ** 2).sum(1)
        floor = rest + self.noise**2
        return cross @ self.weights + self.centre, np.sqrt(np.maximum(prior - known, floor))

    def _cross(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the covariances of new and known values, float[N, n]."""
        cross = self._bumps(inputs)
        cross += inputs @ self._directions
        cross += 1
        return cross

    def _bumps(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the squared-exponential part of the covariances, float[N, n].

        The exponent is one matrix product: searches ask for millions.
        """
        augmented = np.empty((len(inputs), inputs.shape[1] + 2))
        augmented[:, :-2] = inputs
        np.einsum("nf,nf->n", inputs, inputs, out=augmented[:, -2])
        augmented[:, -1] = 1
        exponents = augmented @ self._exponents
        return np.exp(exponents, out=exponents)

    @cached_property
    def _exponents(self) -> np.ndarray:
        """What turns an input, its square and 1 into exponents, float[F + 2, n]."""
        _, smooth, reach, _ = np.exp(2 * self.theta)
        scaled = self.inputs / (reach * self.inputs.shape[1])
        squares = np.log(smooth) - 0.5 * (scaled * self.inputs).sum(1)
        own = np.full(len(self.inputs), -0.5 / (reach * self.inputs.shape[1]))
        return np.vstack([scaled.T, own, squares])

    @cached_property
    def _directions(self) -> np.ndarray:
        """What turns an input into the linear part of the covariances, float[F, n]."""
        return np.exp(2 * self.theta[3]) * self.inputs.T / self.inputs.shape[1]

    @cached_property
    def _slope(self) -> np.ndarray:
        """The linear part of the expected values, float[F]."""
        return self._directions @ self.weights


@dataclass(frozen=True)
class _Pieces:
    """What the covariance of the rows is made of, whatever the hyperparameters."""

    distances: np.ndarray
    products: np.ndarray
    noise: np.ndarray

    def covariance(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the covariance float[n, n] and its squared-exponential part."""
        rest, smooth, reach, linear = np.exp(2 * theta)
        bumps = smooth * np.exp(-0.5 * self.distances / reach)
        noise = np.diag(self.noise**2 + rest)
        return 1 + bumps + linear * self.products + noise, bumps

    def loss(self, theta: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns minus the log posterior of the hyperparameters, and its gradient."""
        covariance, bumps = self.covariance(theta)
        rest, _, reach, linear = np.exp(2 * theta)
        inverse = np.linalg.inv(covariance)
        weights = inverse @ targets
        slopes = (
            2 * rest * np.eye(len(targets)),
            2 * bumps,
            bumps * self.distances / reach,
            2 * linear * self.products,
        )
        pull = np.outer(weights, weights) - inverse
        away = (theta - TYPICAL) / SPREAD
        loss = 0.5 * (targets @ weights + np.linalg.slogdet(covariance)[1] + away @ away)
        gradient = np.array([-0.5 * np.sum(pull * slope) for slope in slopes]) + away / SPREAD
        return float(loss), gradient


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean products over the features, float[N, n]."""
    return one @ (other.T / one.shape[1])


def _distances(one: np.ndarray, other: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Mean squared differences over the features, float[N, n]."""
    found = -2 * products
    found += (one**2).mean(1)[:, None]
    found += (other**2).mean(1)
    return np.maximum(found, 0, out=found)
