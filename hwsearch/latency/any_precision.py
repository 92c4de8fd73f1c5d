"""Latency of networks whose precision is a choice, on a table that is of one precision."""

from dataclasses import dataclass

import numpy as np

from hwsearch.block import Block
from hwsearch.latency.lookup import LatencyModel, Prediction
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import PrecisionSpace, network_of


@dataclass(frozen=True)
class AnyPrecision:
    """Tells what a network takes in the table's precision, whichever it is coded with.

    Attributes:
        plain: Tells the latency of the networks alone.
        space: The networks in their precisions.
    """

    plain: LatencyModel
    space: PrecisionSpace

    def predict(self, codes: np.ndarray) -> Prediction:
        """Predicts networks by code int[N, D]."""
        return self.plain.predict(codes[:, :-1])

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Predicts networks by code int[N, D] without intervals, float[N]."""
        return self.plain.mean_ms(codes[:, :-1])

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Predicts one network; arrays of length 1."""
        return self.plain.predict_subnet(network_of(self.space, subnet))

    def added_ms(self, block: Block) -> float:
        """Tells what a block adds to an engine that is called anyway."""
        return self.plain.added_ms(block)
