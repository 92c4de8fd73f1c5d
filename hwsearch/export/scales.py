"""Scales of a quantised ONNX graph, held against the values that they are for.

A pair of Q and DQ whose one scale is far too large only rounds more coarsely: outputs hardly show
it, so that the scales themselves are looked at.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import Feed
from hwsearch.runtime.onnxruntime import OnnxRuntime

MOST_OFF = 2.0
"""A scale is for values this many times as large as there are, or as small, at most. Told from the
same values, those of all families were within 1.1."""

Arrays = Mapping[str, np.ndarray]


def check_scales(path: Path, feeds: Sequence[Feed]) -> None:
    """Refuses a graph in which a scale does not suit the values that are quantised by it.

    Args:
        path: An ONNX file with QuantizeLinear nodes.
        feeds: The inputs that the scales were told from.

    Raises:
        HwsearchError: If one is too large or too small; names the tensor.
    """
    for name, factor in scale_factors(path, feeds).items():
        if not 1 / MOST_OFF <= factor <= MOST_OFF:
            raise HwsearchError(
                f"'{name}' is quantised for values {factor:.2g} times as large as there are "
                f"(at most {MOST_OFF:g}, at least {1 / MOST_OFF:g})",
                where=path,
                fix="Nothing was delivered; quantise it again, or choose another --table",
            )


def scale_factors(path: Path, feeds: Sequence[Feed]) -> dict[str, float]:
    """Returns how large values may be that a tensor is quantised for, relative to those there are.

    Args:
        path: An ONNX file with QuantizeLinear nodes.
        feeds: Inputs.

    Returns:
        By tensor; of one with a scale a channel that of the channel which is furthest off.
    """
    model = onnx.load(path)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    ends = {
        node.output[0]: [_ends(constants[node.input[0]], node, constants)]
        for node in nodes
        if node.input[0] in constants
    }
    computed = [node for node in nodes if node.output[0] not in ends]
    for values in _computed(model, {node.input[0] for node in computed}, feeds):
        for node in computed:
            found = _ends(values[node.input[0]], node, constants)
            ends.setdefault(node.output[0], []).append(found)
    return {
        node.input[0]: _factor(node, np.max(ends[node.output[0]], axis=0), constants)
        for node in nodes
    }


def _computed(model: ModelProto, names: set[str], feeds: Sequence[Feed]) -> Iterator[Arrays]:
    """Runs a graph, and yields some of its tensors for each feed."""
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    shown = ModelProto()
    shown.CopyFrom(model)
    for name in sorted(names - known):
        shown.graph.output.append(onnx.ValueInfoProto(name=name))
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as folder:
        file = Path(folder) / "shown.onnx"
        onnx.save(shown, file)
        with OnnxRuntime().load_plain(file) as engine:
            for feed in feeds:
                yield {**feed, **engine.run(feed)}


def _ends(values: np.ndarray, node: NodeProto, constants: Arrays) -> np.ndarray:
    """Returns how far values reach below and above zero, or those of each channel, [2, ...]."""
    rest = None
    if constants[node.input[1]].ndim:
        (axis,) = [one.i for one in node.attribute if one.name == "axis"] or [1]
        rest = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    exact = values.astype(np.float64)
    return np.stack([-exact.min(axis=rest), exact.max(axis=rest)])


def _factor(node: NodeProto, ends: np.ndarray, constants: Arrays) -> float:
    scale = constants[node.input[1]].astype(np.float64)
    zero = constants[node.input[2]] if len(node.input) > 2 else np.uint8(0)
    kind, zero = np.iinfo(zero.dtype), zero.astype(np.float64)
    able = np.stack([(zero - kind.min) * scale, (kind.max - zero) * scale])
    both = (able > 0) & (ends > 0)
    factors = np.where(both, able / np.where(both, ends, 1.0), np.inf)
    tight = factors.min(axis=0)  # the side that the scale was told from
    known = tight[np.isfinite(tight)]
    return float(known[np.argmax(np.abs(np.log(known)))]) if known.size else 1.0
