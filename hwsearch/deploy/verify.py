"""Verification of an engine against the float network it was built from."""

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np

from hwsearch.deploy.manifest import OutputError, Parity
from hwsearch.distance.base import Outputs
from hwsearch.errors import HwsearchError

MOST_RELATIVE_ERROR = {"fp32": 1e-3, "fp16": 0.03, "bf16": 0.2, "int8": 0.5}
"""Greatest accepted parity error, by precision. Of trained networks, int8 engines had 0.01 to 0.11,
of untrained ones up to 0.30, and bf16 engines up to 0.11; one that computes nothing has 1."""

MOST_DISTANCE_RISE = 0.1
"""By how much an engine may be further from the teacher than its float network: int8 engines of
trained networks were at most 0.012 further."""


class ParityMeter:
    """Compares the outputs of an engine with the float network's for the same images, in batches.

    Args:
        names: Of the outputs.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._images = names, 0
        # By output: largest and sum of |difference|, squares of differences and of values, values.
        self._sums = np.zeros((len(names), 5))

    def add(self, engine: Outputs, float_net: Outputs) -> None:
        """Takes one batch."""
        self._images += len(float_net[0])
        for sums, given, right in zip(self._sums, engine, float_net, strict=True):
            exact = right.astype(np.float64)
            off = np.abs(given.reshape(exact.shape) - exact)
            sums[0] = np.maximum(sums[0], off.max())  # stays NaN, which Python's max would not
            sums[1:] += off.sum(), (off**2).sum(), (exact**2).sum(), off.size

    def result(self, reference: str, precision: str) -> Parity:
        """Returns what was found.

        Args:
            reference: What computed the float network.
            precision: Numbers that the engine computes in.
        """
        found = zip(self._names, self._sums.tolist(), strict=True)
        errors = {
            name: OutputError(largest, total / count, sqrt(squares / size) if size else inf)
            for name, (largest, total, squares, size, count) in found
        }
        return Parity(self._images, reference, MOST_RELATIVE_ERROR[precision], errors)


def parity(engine_NE: np.ndarray, float_NE: np.ndarray, precision: str) -> Parity:
    """Compares embeddings, float[N, E], with those of PyTorch."""
    meter = ParityMeter(["embedding"])
    meter.add([engine_NE], [float_NE])
    return meter.result("torch", precision)


def check_parity(found: Parity, precision: str, engine: str) -> None:
    """Refuses an engine whose outputs are not those of the network.

    Raises:
        HwsearchError: If the relative error of an output is above the bound of the precision.
    """
    for name, error in found.outputs.items():
        if not error.relative <= found.tolerance:
            raise HwsearchError(
                f"'{name}' of the {engine} engine differs from {found.reference} by "
                f"{error.relative:.2g} (at most {found.tolerance:g} in {precision})",
                fix="Nothing was delivered; update the runtime, or choose another --table",
            )


def check_distance(engine: float, float_net: float, precision: str, runtime: str) -> None:
    """Refuses an engine that lost too much of what its network was chosen for.

    Args:
        engine: Teacher distance of the engine.
        float_net: Teacher distance of the float network.
        precision: Numbers that the engine computes in.
        runtime: Name of its runtime.

    Raises:
        HwsearchError: If the engine is much further from the teacher.
    """
    if not engine - float_net <= MOST_DISTANCE_RISE:
        raise HwsearchError(
            f"in {precision} the {runtime} engine's distance to the teacher is {engine:.3f}, "
            f"the float network's {float_net:.3f} (at most {MOST_DISTANCE_RISE:g} more)",
            fix="Nothing was delivered; give more --images to the search, --pick another point, "
            "or choose a --table of another precision",
        )
