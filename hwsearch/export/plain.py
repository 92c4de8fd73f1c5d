"""Reads ONNX graphs so that each thing is said in one way, however the file says it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

_NUMBERS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
"""Attributes of constants that are no tensors, and what they hold."""

_FREE_WEIGHTS = 4
"""First version of the file format in which weights need not be inputs."""


def read_plain(path: Path) -> ModelProto:
    """Reads an ONNX file: weights are no inputs afterwards, and all numeric constants tensors."""
    model = onnx.load(path)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _FREE_WEIGHTS)
    for node in graph.node:
        if node.op_type == "Constant":
            _hold_tensor(node)
        elif node.op_type == "ConstantOfShape" and not node.attribute:
            node.attribute.append(_value(np.zeros(1, np.float32)))
    return model


def _hold_tensor(node: NodeProto) -> None:
    for attribute in node.attribute:
        if (kind := _NUMBERS.get(attribute.name)) is not None:
            attribute.CopyFrom(_value(np.array(helper.get_attribute_value(attribute), kind)))


def _value(numbers: np.ndarray) -> onnx.AttributeProto:
    return helper.make_attribute("value", numpy_helper.from_array(numbers))
