"""Verification of an engine against the float network it was built from."""

import numpy as np
import torch
from torch import Tensor

from hwsearch.deploy.manifest import Parity
from hwsearch.errors import HwsearchError
from hwsearch.nn import StaticNet

MOST_RELATIVE_ERROR = {"fp32": 1e-3}
"""Greatest accepted parity error, by precision."""


@torch.no_grad()
def torch_embeddings(net: StaticNet, images_BCHW: Tensor, *, batch: int = 256) -> np.ndarray:
    """Computes the embeddings of a float network, float32[N, E]."""
    chunks = images_BCHW.split(batch)
    return torch.cat([net(chunk).embedding for chunk in chunks]).numpy()


def parity(engine_NE: np.ndarray, torch_NE: np.ndarray) -> Parity:
    """Compares the outputs of an engine with torch's for the same images."""
    difference = engine_NE.astype(np.float64) - torch_NE
    return Parity(
        images=len(torch_NE),
        max_abs_error=float(np.abs(difference).max()),
        relative_error=float(np.linalg.norm(difference) / np.linalg.norm(torch_NE)),
    )


def check_parity(found: Parity, precision: str, engine: str) -> None:
    """Refuses an engine whose outputs are not those of the network.

    Raises:
        HwsearchError: If the relative error is above the bound of the precision.
    """
    most = MOST_RELATIVE_ERROR[precision]
    if not found.relative_error <= most:
        raise HwsearchError(
            f"the {engine} engine differs from torch by {found.relative_error:.2g} "
            f"(at most {most:g} in {precision})",
            fix="Nothing was delivered; update the runtime, or choose another --table",
        )
