"""The pull that brings the expected latency to its target.

Shapes: D dimensions, M most choices of one, N networks.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hwsearch.latency.lookup import LatencyModel
from hwsearch.learn.gates import Gates

NETWORKS = 2048
"""Networks drawn in a step to expect the latency by; a predictor tells them in milliseconds."""
STIFFNESS = 20.0
"""Slope of the pull, in spreads of the loss, for each unit of relative excess."""


class Expected(NamedTuple):
    """The latency that gates expect.

    Attributes:
        excess: Mean latency over the target, less 1.
        gradient_DM: Gradient of the same by the logits.
    """

    excess: float
    gradient_DM: np.ndarray


def expected_excess(
    latency: LatencyModel, target_ms: float, gates: Gates, rng: np.random.Generator
) -> Expected:
    """Expects the predicted latency of whole networks, interactions included, by drawing them."""
    codes = gates.draw(rng, NETWORKS)
    excess_N = latency.mean_ms(codes) / target_ms - 1
    return Expected(float(excess_N.mean()), gates.score_gradient(codes, excess_N))


@dataclass
class Multiplier:
    """The augmented Lagrangian of one equality: the excess is 0.

    Attributes:
        weight: The multiplier, in spreads of the loss; positive where the loss alone would take
            slower networks than the target.
    """

    weight: float = 0.0

    def force(self, excess: float) -> float:
        """Returns what a unit of relative latency costs now."""
        return self.weight + STIFFNESS * excess

    def move(self, excess: float, rate: float) -> None:
        """Moves the multiplier by the excess that is left."""
        self.weight += rate * STIFFNESS * excess
