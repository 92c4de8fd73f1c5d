"""How an exported graph is called: with any number of images, with a camera's bytes.

Both are written into a finished graph, quantised or not, so that weights, scales and what lies
between stay those of the engine that takes one fixed batch of normalised floats.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hwsearch.errors import HwsearchError
from hwsearch.export.plain import read_plain
from hwsearch.journal import write_atomic

BATCH = "batch"
"""Name of the symbolic first size."""


def free_batch(path: Path) -> None:
    """Makes the first size of all inputs and outputs of an ONNX file symbolic.

    Args:
        path: The file, of a fixed batch; it is written anew.

    Raises:
        HwsearchError: If something in it computes across images, or for one batch only.
    """
    model = read_plain(path)
    graph = model.graph
    (batch,) = {value.type.tensor_type.shape.dim[0].dim_value for value in graph.input}
    _free_sizes(model)
    _free_shapes(graph, batch)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]
    for value in onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output:
        first = value.type.tensor_type.shape.dim[0]
        if first.dim_value:
            raise HwsearchError(
                f"output '{value.name}' is always of {first.dim_value} images",
                where=path,
                fix="Leave --dynamic-batch out",
            )
    _write(model, path)


def _free_shapes(graph: GraphProto, batch: int) -> None:
    """Lets nodes that were told a shape take the number of images from their input."""
    constants = {one.name: one for one in graph.initializer}
    made = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = _constant(node.input[1], constants, made)
        if shape is None or not len(shape) or shape[0] in (0, -1):
            continue
        # Where another size is told from the rest, the first is the batch or has nothing of it.
        if -1 not in shape[1:] or shape[0] == batch:
            free = np.array([0 if -1 in shape[1:] else -1, *shape[1:]], dtype=np.int64)
            name = f"{node.output[0]}_shape"
            graph.initializer.append(numpy_helper.from_array(free, name))
            node.input[1] = name


def _free_sizes(model: ModelProto) -> None:
    """Lets nodes that were told the size of an enlarged map take the ratio to what they enlarge."""
    graph = model.graph
    known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (*known.value_info, *known.input, *known.output)
    }
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            ratios = np.divide(sizes[node.output[0]], sizes[node.input[0]]).astype(np.float32)
            name = f"{node.output[0]}_ratios"
            graph.initializer.append(numpy_helper.from_array(ratios, name))
            node.input[:] = [node.input[0], "", name]


def _constant(
    name: str, constants: dict[str, TensorProto], made: dict[str, NodeProto]
) -> np.ndarray | None:
    if name in constants:
        return numpy_helper.to_array(constants[name])
    if name in made:
        return numpy_helper.to_array(made[name].attribute[0].t)
    return None


def take_bytes(path: Path, name: str, mean: Sequence[float], std: Sequence[float]) -> None:
    """Puts scaling and normalisation into an ONNX file: it takes uint8[B, H, W, C] afterwards.

    Args:
        path: A file whose input is float32[B, C, H, W]; it is written anew.
        name: Of that input, which keeps it.
        mean: Subtracted from bytes scaled to 0 to 1, for each channel.
        std: Divides the result, likewise.
    """
    model = onnx.load(path)
    graph = model.graph
    (value,) = (value for value in graph.input if value.name == name)
    sizes = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    inner = f"{name}_from_bytes"
    for node in graph.node:
        node.input[:] = [inner if one == name else one for one in node.input]
    for node in reversed(_normalising(graph, name, inner, np.array(mean), np.array(std))):
        graph.node.insert(0, node)
    batch, channels, height, width = sizes
    shape = (batch, height, width, channels)
    value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.UINT8, shape))
    _write(model, path)


def _normalising(
    graph: GraphProto, name: str, inner: str, mean: np.ndarray, std: np.ndarray
) -> list[NodeProto]:
    """Returns the nodes, which round as NumPy does; their constants go into the graph."""
    prefix = f"{name}_from_bytes"
    constants = {"most": np.array([255.0]), "mean": mean, "std": std}
    for what, values in constants.items():
        array = values.astype(np.float32).reshape(1, -1, 1, 1)
        graph.initializer.append(numpy_helper.from_array(array, f"{prefix}_{what}"))
    cast, turned, scaled, shifted = (
        f"{prefix}_{what}" for what in ("cast", "turned", "scaled", "shifted")
    )
    return [
        helper.make_node("Cast", [name], [cast], to=TensorProto.FLOAT),
        helper.make_node("Transpose", [cast], [turned], perm=[0, 3, 1, 2]),
        helper.make_node("Div", [turned, f"{prefix}_most"], [scaled]),
        helper.make_node("Sub", [scaled, f"{prefix}_mean"], [shifted]),
        helper.make_node("Div", [shifted, f"{prefix}_std"], [inner]),
    ]


def _write(model: ModelProto, path: Path) -> None:
    onnx.checker.check_model(model, full_check=True)
    write_atomic(path, model.SerializeToString(deterministic=True))
