"""Kinds of blocks: what each computes, once, and what that costs."""

from hwsearch.kinds import cell as cell
from hwsearch.kinds import heads as heads
from hwsearch.kinds import inverted as inverted
from hwsearch.kinds import model as model
from hwsearch.kinds import resnet as resnet
from hwsearch.kinds import transformer as transformer
from hwsearch.kinds.cost import (
    NUMBER_BYTES,
    Cost,
    block_peaks,
    cost_of,
    peak_elements,
    total_macs,
    total_params,
    total_weights,
)
from hwsearch.kinds.registry import (
    input_layout,
    input_names,
    layers_of,
    register_kind,
    shapes_of,
)

__all__ = [
    "NUMBER_BYTES",
    "Cost",
    "block_peaks",
    "cost_of",
    "input_layout",
    "input_names",
    "layers_of",
    "peak_elements",
    "register_kind",
    "shapes_of",
    "total_macs",
    "total_params",
    "total_weights",
]
