"""The control that has seen results: a log-linear ridge on what is known of a network's size."""

from collections.abc import Callable, Sequence

import numpy as np

from hwsearch.kinds import cost_of, total_params
from hwsearch.space import Space, Subnet

PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""Ridge penalties that are tried, on standardised features."""

Describe = Callable[[Subnet], np.ndarray]
"""From a network to what the ridge is fitted on, float[F]."""


def size_features(space: Space, latency_ms: Callable[[Subnet], float]) -> Describe:
    """Describes networks by the logarithms of depth, width, parameters and latency.

    Args:
        space: Of the networks.
        latency_ms: Tells their latency.
    """

    def describe(subnet: Subnet) -> np.ndarray:
        blocks = space.lower(subnet)
        width = cost_of(blocks[-1]).out_shape[0]
        return np.log([len(blocks), width, total_params(blocks), latency_ms(subnet)])

    return describe


class LogLinearRidge:
    """Orders networks by a ridge regression that was fitted to labelled results of others.

    Args:
        describe: What is known of a network.
        subnets: Networks with results.
        results: How good they are, higher is better.
    """

    def __init__(
        self, describe: Describe, subnets: Sequence[Subnet], results: Sequence[float] | np.ndarray
    ) -> None:
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._describe = describe
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        self._model = model.fit(np.stack([*map(describe, subnets)]), np.asarray(results))

    def __call__(self, subnet: Subnet) -> float:
        """Returns a number that is lower for a network that is expected to be better."""
        return -float(self._model.predict(self._describe(subnet)[None])[0])
