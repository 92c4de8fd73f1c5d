"""What a predictor sees of a network: additive features of its blocks, per part of the space."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from hwsearch.block import Block
from hwsearch.kinds import cost_of, layers_of
from hwsearch.space import Space, Subnet

COSTS = ("blocks", "layers", "macs", "macs_8", "macs_16", "params", "elements")
"""What is counted of a block: itself, its layers, multiply-accumulates as they are and with
channels rounded up to 8 and to 16 (the width of vector units), parameters, values moved."""


def block_costs(block: Block) -> np.ndarray:
    """Returns the `COSTS` of a block, large counts in millions, float[7]."""
    cost = cost_of(block)
    macs = [cost.macs, *(cost_of(_rounded(block, width)).macs for width in (8, 16))]
    large = np.array([*macs, cost.params, cost.read_elements + cost.written_elements])
    return np.array([1, len(layers_of(block)), *(large / 1e6)])


def _rounded(block: Block, width: int) -> Block:
    """Rounds channels up; very few, as of an image, have kernels of their own."""
    sizes = tuple(
        (name, count if count < width / 2 else -(-count // width) * width)
        for name, count in block.sizes
    )
    return replace(block, sizes=sizes)


def fit_rates(costs: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """Fits milliseconds per unit of each cost, none negative, by relative least squares.

    Args:
        costs: float[n, C], `COSTS` or anything else that adds up and is not negative.
        latency_ms: float[n].

    Returns:
        float[C].
    """
    from scipy.optimize import nnls

    relative = costs / latency_ms[:, None]
    scale = np.maximum(relative.mean(0), 1e-12)
    return nnls(relative / scale, np.ones(len(latency_ms)))[0] / scale


class Features(Protocol):
    """What a predictor sees of networks: totals float[N, T], and scaled features float[N, F]."""

    def of_codes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sees networks by code int[N, D]."""
        ...

    def of_subnet(self, subnet: Subnet) -> tuple[np.ndarray, np.ndarray]:
        """Sees one network, on the grid or off it; N = 1."""
        ...


@dataclass(frozen=True)
class BlockTimes:
    """Milliseconds of single blocks: measured where they are, else by fitted rates.

    Attributes:
        measured_ms: By key of the block.
        rates: Milliseconds per unit of each of `COSTS`, float[7].
    """

    measured_ms: Mapping[str, float]
    rates: np.ndarray

    def __call__(self, block: Block) -> float:
        """Returns the milliseconds of one block."""
        measured = self.measured_ms.get(block.key)
        return float(block_costs(block) @ self.rates) if measured is None else measured


@dataclass(frozen=True)
class NetworkFeatures:
    """Features of whole networks: block time and costs, of each part and in total.

    They are computed once per combination of a part's dimensions, then gathered by code.

    Attributes:
        space: The networks.
        times: Milliseconds of single blocks.
        tables: Per part, float[combinations, 8]: block time in ms, then `COSTS`.
        centre: Mean of each feature over the space, float[P + 1, 8], totals last.
        scale: Its spread over the space, 0 where it is constant, float[P + 1, 8].
    """

    space: Space
    times: BlockTimes
    tables: tuple[np.ndarray, ...]
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def tabulate(cls, space: Space, times: BlockTimes) -> "NetworkFeatures":
        """Computes the features of every combination of every part."""
        tables = tuple(
            np.stack([_part_features(blocks, times) for blocks in space.combinations(part)])
            for part in space.parts
        )
        centre = np.stack([table.mean(0) for table in tables])
        variance = np.stack([table.var(0) for table in tables])
        centre = np.concatenate([centre, centre.sum(0, keepdims=True)])
        scale = np.sqrt(np.concatenate([variance, variance.sum(0, keepdims=True)]))
        scale[scale < 1e-9 * np.maximum(np.abs(centre), 1e-9)] = 0
        return cls(space, times, tables, centre, scale)

    def of_codes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gathers networks by code int[N, D].

        Returns:
            Totals, float[N, 8] as the columns of `tables`, and scaled features, float[N, F].
        """
        totals = np.zeros((len(codes), len(COSTS) + 1))
        inputs = np.empty((len(codes), np.count_nonzero(self.scale)))
        column = 0
        for part, table in zip(self.space.parts, self._gathered, strict=True):
            found = table.take(self.space.combination_index(part, codes), axis=0)
            totals += found[:, : totals.shape[1]]
            kept = found.shape[1] - totals.shape[1]
            inputs[:, column : column + kept] = found[:, totals.shape[1] :]
            column += kept
        kept = self.scale[-1] > 0
        inputs[:, column:] = (totals[:, kept] - self.centre[-1, kept]) / self.scale[-1, kept]
        return totals, inputs

    @cached_property
    def _gathered(self) -> tuple[np.ndarray, ...]:
        """Per part, what `of_codes` gathers: its totals, then those that vary, scaled."""
        found = []
        for table, centre, scale in zip(self.tables, self.centre, self.scale, strict=False):
            kept = scale > 0
            scaled = (table[:, kept] - centre[kept]) / scale[kept]
            found.append(np.concatenate([table, scaled], axis=1))
        return tuple(found)

    def of_subnet(self, subnet: Subnet) -> tuple[np.ndarray, np.ndarray]:
        """Walks one network, on the grid or off it; returns as `of_codes` with N = 1."""
        self.space.lower(subnet)  # refuses foreign spaces and impossible values
        values = subnet.as_dict()
        found = [_part_features(part.lower(values), self.times) for part in self.space.parts]
        return self._scaled(np.stack(found)[None])

    def _scaled(self, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        totals = parts.sum(1, keepdims=True)
        kept = self.scale > 0
        features = np.concatenate([parts, totals], axis=1)[:, kept]
        return totals[:, 0], (features - self.centre[kept]) / self.scale[kept]


def total_costs(blocks: Iterable[Block]) -> np.ndarray:
    """Returns the summed `COSTS` of blocks, float[7]."""
    return sum((block_costs(block) for block in blocks), start=np.zeros(len(COSTS)))


def _part_features(blocks: Sequence[Block], times: BlockTimes) -> np.ndarray:
    return np.array([sum(times(block) for block in blocks), *total_costs(blocks)])
