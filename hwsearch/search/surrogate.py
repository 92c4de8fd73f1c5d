"""What is believed of the distance of networks that nobody has evaluated yet.

Shapes: n evaluated networks, N others, D dimensions of the space, F features.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from hwsearch.space import Space

_CODES, _FEATURES = np.log(0.4), np.log(0.2)
_TAIL = np.log([0.5, 0.5, 0.007])
"""Prior medians: how fast values part along codes and features, then the sizes of the part that
depends on both, of the part that depends on features only, and of noise."""

_SPREAD = 1.0
"""Prior standard deviation of each of these, in logarithms."""

_STEPS = 15
"""Steps of the search for hyperparameters; it starts where the last one ended."""

_OFFSET = 0.1
"""Distances are compared on a log scale, this share of their median added: 0 is a distance."""


@dataclass(frozen=True)
class Inputs:
    """What the surrogate knows of networks.

    Attributes:
        codes: float[N, C]: a dimension in order has one column from 0 to 1, one of words a column
            a choice, √½ or 0, so that any two choices are 1 apart.
        dims: Which dimension each of these columns belongs to, int[C].
        features: float[N, F], of comparable scale, such as standardised log sizes.
        hints: Standardised log distances as E earlier searches let one expect, float[N, E].
    """

    codes: np.ndarray
    dims: np.ndarray
    features: np.ndarray
    hints: np.ndarray

    @classmethod
    def of(cls, space: Space, codes: np.ndarray, features: np.ndarray) -> "Inputs":
        """Turns codes int[N, D] and features float[N, F] into inputs without hints."""
        columns, dims = [], []
        for dim, choice in enumerate(codes.T):
            top = space.shape[dim] - 1
            if isinstance(space.dims[dim].choices[0], str):
                found = [(choice == index) * np.sqrt(0.5) for index in range(top + 1)]
            else:
                found = [choice / max(top, 1)]
            columns += found
            dims += [dim] * len(found)
        found = np.column_stack(columns).astype(float)
        return cls(found, np.array(dims), features, np.empty((len(codes), 0)))

    def __getitem__(self, rows: np.ndarray) -> "Inputs":
        return Inputs(self.codes[rows], self.dims, self.features[rows], self.hints[rows])

    def joined(self, other: "Inputs") -> "Inputs":
        """Returns these networks and then those."""
        return Inputs(
            np.concatenate([self.codes, other.codes]),
            self.dims,
            np.concatenate([self.features, other.features]),
            np.concatenate([self.hints, other.hints]),
        )

    @property
    def parameters(self) -> int:
        """How many rates a kernel over these inputs has: D + F."""
        return int(self.dims[-1]) + 1 + self.features.shape[1]

    def partings(self) -> np.ndarray:
        """Squared differences of the networks in each dimension and feature, float[D + F, N, N]."""
        columns = [*self.codes.T, *self.features.T]
        last = int(self.dims[-1])
        owners = [*self.dims, *range(last + 1, last + 1 + self.features.shape[1])]
        found = np.zeros((self.parameters, len(self.codes), len(self.codes)))
        for owner, column in zip(owners, columns, strict=True):
            found[owner] += (column[:, None] - column) ** 2
        return found


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process over codes and features (Rasmussen and Williams 2006, chapters 2, 5).

    The kernel is `s₁·exp(-Σ aᵢ·Δcodeᵢ² - Σ bⱼ·Δfeatureⱼ²) + s₂·exp(-Σ bⱼ·Δfeatureⱼ²)`: networks of
    equal sizes are similar, and more so if they have them in the same places. The mean is linear
    in the hints.

    Attributes:
        inputs: The evaluated networks.
        distance: Their distances, float[n].
        theta: Logarithms of a, b, s₁, s₂ and the noise, float[D + F + 3].
        offset: What is added to a distance before its logarithm is taken.
        centre: Mean of those logarithms.
        scale: Their standard deviation.
        slopes: What a hint of 1 adds to the standardised logarithm, float[E].
    """

    inputs: Inputs
    distance: np.ndarray
    theta: np.ndarray
    offset: float
    centre: float
    scale: float
    slopes: np.ndarray

    @classmethod
    def fit(
        cls, inputs: Inputs, distance: np.ndarray, start: "Surrogate | None" = None
    ) -> "Surrogate":
        """Finds the most probable hyperparameters.

        Args:
            inputs: The evaluated networks.
            distance: Their distances, float[n].
            start: An earlier surrogate of fewer networks, to search from.
        """
        low = min(0.0, float(distance.min()))
        offset = (_OFFSET * float(np.median(distance - low)) or 1e-9) - low
        logs = np.log(distance + offset)
        centre, scale = float(logs.mean()), float(logs.std()) or 1.0
        made = cls(
            inputs,
            distance,
            start.theta if start else _prior(inputs),
            offset,
            centre,
            scale,
            _slopes(inputs.hints, (logs - centre) / scale),
        )
        partings, prior = inputs.partings(), _prior(inputs)
        dims = int(inputs.dims[-1]) + 1
        found = minimize(
            lambda theta: _loss(theta, partings, made.targets, dims, prior),
            made.theta,
            jac=True,
            method="L-BFGS-B",
            bounds=[(mean - 6, mean + 6) for mean in prior],
            options={"maxiter": _STEPS},
        )
        return replace(made, theta=found.x)

    def covers(self, distance: np.ndarray) -> bool:
        """Returns whether distances are on the scale that this surrogate was fitted on."""
        return bool(distance.min() + self.offset > 0)

    def over(self, inputs: Inputs, distance: np.ndarray) -> "Surrogate":
        """Returns what is believed after these answers alone, with the same hyperparameters."""
        return replace(self, inputs=inputs, distance=distance)

    def told(self, inputs: Inputs, distance: np.ndarray) -> "Surrogate":
        """Returns what is believed with more networks and the same hyperparameters."""
        joined = self.inputs.joined(inputs)
        return replace(self, inputs=joined, distance=np.concatenate([self.distance, distance]))

    @property
    def targets(self) -> np.ndarray:
        """Standardised log distances, less what the hints say, float[n]."""
        standard = (np.log(self.distance + self.offset) - self.centre) / self.scale
        return standard - self.inputs.hints @ self.slopes

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool]:
        kernel = _kernel(self.theta, self.inputs, self.inputs)
        return cho_factor(kernel + np.exp(self.theta[-1]) * np.eye(len(self.distance)), lower=True)

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of `log(distance + offset)`, float[N] each."""
        cross = _kernel(self.theta, inputs, self.inputs)
        mean = cross @ cho_solve(self._factor, self.targets) + inputs.hints @ self.slopes
        explained = (solve_triangular(self._factor[0], cross.T, lower=True) ** 2).sum(axis=0)
        variance = np.exp(self.theta[-3:-1]).sum() - explained
        spread = np.sqrt(np.maximum(variance, 1e-9))
        return self.centre + self.scale * mean, self.scale * spread

    def median(self, inputs: Inputs) -> np.ndarray:
        """Returns the distances that networks are as likely to exceed as to stay below."""
        return np.exp(self.predict(inputs)[0]) - self.offset


def _slopes(hints: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ridge regression of targets float[n] on hints float[n, E], with the penalty of one answer."""
    return np.linalg.solve(hints.T @ hints + np.eye(hints.shape[1]), hints.T @ targets)


def _prior(inputs: Inputs) -> np.ndarray:
    codes, features = int(inputs.dims[-1]) + 1, inputs.features.shape[1]
    return np.concatenate([np.full(codes, _CODES), np.full(features, _FEATURES), _TAIL])


def _kernel(theta: np.ndarray, first: Inputs, second: Inputs) -> np.ndarray:
    """Covariance of two sets of networks, float[N, M]."""
    rates, (both, sizes) = np.exp(theta[:-3] / 2), np.exp(theta[-3:-1])
    by_code, by_feature = rates[first.dims], rates[int(first.dims[-1]) + 1 :]
    near = cdist(first.codes * by_code, second.codes * by_code, "sqeuclidean")
    like = cdist(first.features * by_feature, second.features * by_feature, "sqeuclidean")
    return (both * np.exp(-near) + sizes) * np.exp(-like)


def _loss(
    theta: np.ndarray, partings: np.ndarray, targets: np.ndarray, dims: int, prior: np.ndarray
) -> tuple[float, np.ndarray]:
    """Negative log posterior of the hyperparameters, and its gradient."""
    rates, (both, sizes, noise) = np.exp(theta[:-3]), np.exp(theta[-3:])
    like = np.exp(-np.tensordot(rates[dims:], partings[dims:], 1))
    near = both * np.exp(-np.tensordot(rates[:dims], partings[:dims], 1)) * like
    kernel, eye = near + sizes * like, np.eye(len(targets))
    factor = cho_factor(kernel + noise * eye, lower=True)
    inverse = cho_solve(factor, eye)
    weights = inverse @ targets
    off = (theta - prior) / _SPREAD
    loss = 0.5 * targets @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
    pull = inverse - np.outer(weights, weights)
    by_code = np.tensordot(partings[:dims], pull * near)
    by_feature = np.tensordot(partings[dims:], pull * kernel)
    slopes = -rates * np.concatenate([by_code, by_feature])
    tail = [(pull * near).sum(), (pull * like).sum() * sizes, noise * np.trace(pull)]
    return float(loss), 0.5 * np.concatenate([slopes, tail]) + off / _SPREAD
