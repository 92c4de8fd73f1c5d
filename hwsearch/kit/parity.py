"""Parity: how far an engine's outputs are from the float network's, and how far they may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from hwsearch.errors import HwsearchError

MOST_RELATIVE_ERROR = {"fp32": 1e-3, "fp16": 0.03, "bf16": 0.2, "int8": 0.5}
"""Greatest accepted parity error, by precision. Of trained networks, int8 engines had 0.01 to 0.11,
of untrained ones up to 0.30, and bf16 engines up to 0.11; one that computes nothing has 1."""


@dataclass(frozen=True)
class OutputError:
    """How far an output is from the float network's.

    Attributes:
        max_abs: Largest absolute difference of any value.
        mean_abs: Mean absolute difference.
        relative: Norm of all differences over the norm of the float network's output.
    """

    max_abs: float
    mean_abs: float
    relative: float


class ErrorMeter:
    """Compares the outputs of an engine with the float network's for the same images, in batches.

    Args:
        names: Of the outputs.

    Attributes:
        images: How many were compared.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self.images = names, 0
        # By output: largest and sum of |difference|, squares of differences and of values, values.
        self._sums = np.zeros((len(names), 5))

    def add(self, engine: Sequence[np.ndarray], float_net: Sequence[np.ndarray]) -> None:
        """Takes one batch, outputs in the order of their names."""
        self.images += len(float_net[0])
        for sums, given, right in zip(self._sums, engine, float_net, strict=True):
            exact = right.astype(np.float64)
            off = np.abs(given.reshape(exact.shape) - exact)
            sums[0] = np.maximum(sums[0], off.max())  # stays NaN, which Python's max would not
            sums[1:] += off.sum(), (off**2).sum(), (exact**2).sum(), off.size

    def errors(self) -> dict[str, OutputError]:
        """Returns what was found, by output."""
        found = zip(self._names, self._sums.tolist(), strict=True)
        return {
            name: OutputError(largest, total / count, sqrt(squares / size) if size else inf)
            for name, (largest, total, squares, size, count) in found
        }


def check_errors(
    errors: Mapping[str, OutputError],
    tolerance: float,
    *,
    precision: str,
    engine: str,
    reference: str,
    fix: str,
) -> None:
    """Refuses an engine whose outputs are not those of the network.

    Args:
        errors: By output.
        tolerance: Largest relative error that is accepted.
        precision: Numbers that the engine computes in, for the message.
        engine: What computed them, likewise.
        reference: What they were compared with, likewise.
        fix: What to do, likewise.

    Raises:
        HwsearchError: If the relative error of an output is above the tolerance.
    """
    for name, error in errors.items():
        if not error.relative <= tolerance:
            raise HwsearchError(
                f"'{name}' of the {engine} differs from {reference} by "
                f"{error.relative:.2g} (at most {tolerance:g} in {precision})",
                fix=fix,
            )
