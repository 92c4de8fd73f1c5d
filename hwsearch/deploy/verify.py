"""Verification of an engine against the float network it was built from."""

import numpy as np

from hwsearch.deploy.manifest import Parity
from hwsearch.errors import HwsearchError
from hwsearch.kit.parity import MOST_RELATIVE_ERROR, ErrorMeter, check_errors

LEAST_RISE, RISE_SHARE = 0.03, 0.1
"""An engine may be further from the teacher than its float network by the first, or by the second's
share of that one's distance: int8 engines of trained networks were at most 0.012 further, and small
random ones at 0.59 from a foreign teacher 0.022. Whole fronts may span no more than 0.04."""


class ParityMeter(ErrorMeter):
    """Compares the outputs of an engine with the float network's for the same images, in batches.

    Args:
        names: Of the outputs.
    """

    def result(self, reference: str, precision: str) -> Parity:
        """Returns what was found.

        Args:
            reference: What computed the float network.
            precision: Numbers that the engine computes in.
        """
        return Parity(self.images, reference, MOST_RELATIVE_ERROR[precision], self.errors())


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
    check_errors(
        found.outputs,
        found.tolerance,
        precision=precision,
        engine=f"{engine} engine",
        reference=found.reference,
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
    most = max(LEAST_RISE, RISE_SHARE * float_net)
    if not engine - float_net <= most:
        raise HwsearchError(
            f"in {precision} the {runtime} engine's distance to the teacher is {engine:.3f}, "
            f"the float network's {float_net:.3f} (at most {most:.2g} more)",
            fix="Nothing was delivered; give more --images to the search, --pick another point, "
            "or choose a --table of another precision",
        )
