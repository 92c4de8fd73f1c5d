"""The batch-norm statistics with which a tree's features were computed, kept beside the tree.

A network that was calibrated on other images has other features, by which a tree would send these
images elsewhere.
"""

from pathlib import Path

import safetensors
from safetensors.torch import load, save

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.nn import StaticNet

FILE = "norms.safetensors"
_RUNNING = ("running_mean", "running_var")


def write_norms(net: StaticNet, folder: Path) -> None:
    """Writes the statistics of a calibrated network."""
    state = net.state_dict()
    kept = {name: value.contiguous() for name, value in state.items() if name.endswith(_RUNNING)}
    write_atomic(folder / FILE, save(kept))


def put_norms(net: StaticNet, folder: Path) -> StaticNet:
    """Gives a network, as it was extracted, the statistics of the one that made a tree.

    Returns:
        The same network, in evaluation mode.

    Raises:
        HwsearchError: If there are none, or they are of another network.
    """
    path = folder / FILE
    try:
        kept = load(path.read_bytes())
        names = {name for name in net.state_dict() if name.endswith(_RUNNING)}
        if kept.keys() != names:
            raise RuntimeError("statistics of other norms")
        net.load_state_dict(kept, strict=False)
    except (OSError, RuntimeError, safetensors.SafetensorError) as cause:
        raise HwsearchError(
            "the statistics of batch norms cannot be read, or are of another network",
            where=path,
            fix="Run the same hwsearch cluster again",
        ) from cause
    return net.eval()
