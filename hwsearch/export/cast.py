"""From a float32 ONNX graph to one that computes in float16, its inputs and outputs kept."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError

from hwsearch.errors import HwsearchError
from hwsearch.export.plain import read_plain
from hwsearch.journal import write_atomic
from hwsearch.runtime.base import Portable

QUANTISED_OPSET = 19
"""First version of ONNX in which Q/DQ nodes take float16."""

_KEEP_FLOAT = {"Resize": (1, 2)}
"""Inputs, by position, that ONNX defines as float32 whatever the rest of the node takes."""


def cast_to_fp16(model: Portable, out: Path) -> Portable:
    """Writes the float16 form of an ONNX file, for runtimes that take types from the graph.

    Weights, constants and the scales of Q/DQ nodes are rounded; inputs and outputs keep their
    types and are cast at the border.

    Args:
        model: What to cast; its graph has no inner graphs.
        out: The ONNX file to write.

    Raises:
        HwsearchError: If a number is out of float16's range, or something takes no float16.
    """
    path = model.file("onnx")
    write_atomic(out, as_fp16(read_plain(path), path).SerializeToString())
    return Portable(onnx=out)


def as_fp16(model: ModelProto, path: Path) -> ModelProto:
    """Returns the float16 form of a model; see `cast_to_fp16`.

    Args:
        model: Is changed.
        path: Where it came from, for the message.
    """
    quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    (opset,) = (item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if quantised and opset < QUANTISED_OPSET:
        model = onnx.version_converter.convert_version(model, QUANTISED_OPSET)
    graph = model.graph
    kept, scales = set(_kept_names(graph)), set(_scales(graph))
    for tensor in graph.initializer:
        if tensor.name not in kept:
            _round(tensor, path, may_vanish=tensor.name not in scales)
    for node in graph.node:
        if not kept.intersection(node.output):
            _round_attributes(node.attribute, node.op_type, path)
    _cast_borders(graph)
    del graph.value_info[:]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (ValidationError, InferenceError) as cause:
        what = f"the model cannot be cast to fp16: {str(cause).strip().splitlines()[0]}"
        raise HwsearchError(what, where=path, fix="Use --precision fp32") from cause
    return model


def _kept_names(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        for position in _KEEP_FLOAT.get(node.op_type, ()):
            yield from node.input[position : position + 1]


def _scales(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield node.input[1]


def _round(tensor: TensorProto, path: Path, *, may_vanish: bool = True) -> None:
    if tensor.data_type != TensorProto.FLOAT:
        return
    exact = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float16)
    vanished = (rounded == 0) & (exact != 0)
    if (np.isinf(rounded) & np.isfinite(exact)).any() or (vanished.any() and not may_vanish):
        raise HwsearchError(
            f"'{tensor.name}' is out of float16's range",
            where=path,
            fix="Use --precision fp32",
        )
    tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


def _round_attributes(attributes: Iterable[AttributeProto], op_type: str, path: Path) -> None:
    for attribute in attributes:
        if attribute.type == AttributeProto.TENSOR:
            _round(attribute.t, path)
        elif op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _cast_borders(graph: GraphProto) -> None:
    """Casts at inputs and outputs, so that callers need not know of float16."""
    inner = {}
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inner[value.name] = f"{value.name}_fp16"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inner.get(name, name) for name in names]
    taken = {value.name for value in graph.input}
    nodes = list(graph.node)
    for name, inside in inner.items():
        if name in taken:
            nodes.insert(0, helper.make_node("Cast", [name], [inside], to=TensorProto.FLOAT16))
        else:
            nodes.append(helper.make_node("Cast", [inside], [name], to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
