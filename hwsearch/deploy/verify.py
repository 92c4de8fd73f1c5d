"""Verification of an engine against the float network it was built from."""

import numpy as np

from hwsearch.deploy.manifest import Parity
from hwsearch.errors import HwsearchError

MOST_RELATIVE_ERROR = {"fp32": 1e-3, "fp16": 0.03, "bf16": 0.2, "int8": 0.5}
"""Greatest accepted parity error, by precision. Of trained networks, int8 engines had 0.01 to 0.11,
of untrained ones up to 0.30, and bf16 engines up to 0.11; one that computes nothing has 1."""

MOST_DISTANCE_RISE = 0.1
"""By how much an engine may be further from the teacher than its float network: int8 engines of
trained networks were at most 0.012 further."""


def parity(engine_NE: np.ndarray, float_NE: np.ndarray, reference: str) -> Parity:
    """Compares the outputs of an engine with the float network's for the same images.

    Args:
        engine_NE: float[N, E].
        float_NE: float[N, E].
        reference: What computed the float network.
    """
    difference = engine_NE.astype(np.float64) - float_NE
    return Parity(
        images=len(float_NE),
        reference=reference,
        max_abs_error=float(np.abs(difference).max()),
        relative_error=float(np.linalg.norm(difference) / np.linalg.norm(float_NE)),
    )


def check_parity(found: Parity, precision: str, engine: str) -> None:
    """Refuses an engine whose outputs are not those of the network.

    Raises:
        HwsearchError: If the relative error is above the bound of the precision.
    """
    most = MOST_RELATIVE_ERROR[precision]
    if not found.relative_error <= most:
        raise HwsearchError(
            f"the {engine} engine differs from {found.reference} by {found.relative_error:.2g} "
            f"(at most {most:g} in {precision})",
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
