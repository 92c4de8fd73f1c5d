"""What an ONNX graph takes and computes, told from the file without running it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from hwsearch.errors import HwsearchError
from hwsearch.spaces.onnx_memory import peak_elements

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

Sizes = tuple[int | None, ...]
"""A tensor's shape, batch first; None where the file does not fix a size."""

_AGAIN = "Export the model again"
_SMALL = 1024
"""Elements up to which a constant may be a shape; the values of larger ones are dropped."""
_WEIGHT_TYPES = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT4", "UINT4")


@dataclass(frozen=True)
class Graph:
    """One readable ONNX graph.

    Attributes:
        path: The file.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        shapes: Shapes of all tensors that could be told, by name.
        float_inputs: Which inputs are float32.
        external: Files beside the model that hold its weights.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Sizes]
    float_inputs: frozenset[str]
    external: tuple[Path, ...]
    _nodes: "tuple[NodeProto, ...]"
    _weights: dict[str, int]

    def cost(self, output: str) -> tuple[int, int, int]:
        """Counts what one output needs of the graph.

        Args:
            output: Name of the output.

        Returns:
            Multiply-accumulates of one call (convolutions and matrix products), parameters,
            and the most elements of feature maps alive at once.

        Raises:
            HwsearchError: If the shapes are not known where something is multiplied.
        """
        nodes, needed = needed_for(output, self._nodes)
        macs = sum(map(self._macs, nodes))
        params = sum(count for name, count in self._weights.items() if name in needed)
        shapes = ((name, _known(shape)) for name, shape in self.shapes.items())
        sizes = {
            name: prod(shape)
            for name, shape in shapes
            if shape is not None and name not in self._weights
        }
        return macs, params, peak_elements(nodes, sizes, self.inputs[0], output)

    def _macs(self, node: "NodeProto") -> int:
        if node.op_type not in _MACS:
            return 0
        data, weight, out = _MACS[node.op_type]
        shapes = (self.shapes.get(node.input[data]), self.shapes.get(node.input[weight]))
        taken, learned = (_known(shape) for shape in shapes)
        given = _known(self.shapes.get(node.output[0]))
        if taken is None or learned is None or given is None:
            raise HwsearchError(
                f"the sizes at node '{node.name or node.output[0]}' ({node.op_type}) are not known",
                where=self.path,
                fix="Fold what is constant: python -m onnxruntime.tools.optimize_onnx_model "
                "--opt_level basic IN.onnx OUT.onnx",
            )
        match out:
            case "conv":
                return prod(given) * prod(learned[1:])
            case "transposed":
                return prod(taken) * prod(learned[1:])
            case "gemm":
                across = next((a.i for a in node.attribute if a.name == "transA"), 0)
                return prod(given) * taken[0 if across else 1]
            case _:
                return prod(given) * taken[-1]


_MACS = {
    "Conv": (0, 1, "conv"),
    "ConvInteger": (0, 1, "conv"),
    "QLinearConv": (0, 3, "conv"),
    "ConvTranspose": (0, 1, "transposed"),
    "Gemm": (0, 1, "gemm"),
    "MatMul": (0, 1, "matmul"),
    "MatMulInteger": (0, 1, "matmul"),
    "QLinearMatMul": (0, 3, "matmul"),
}
"""By operator: which input is the data, which the weight, and how to count."""


def _known(shape: Sizes | None) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else None


def needed_for(output: str, nodes: "Sequence[NodeProto]") -> "tuple[list[NodeProto], set[str]]":
    """Returns the nodes that an output needs, in order, and the names of all they read."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(_read_names(node))
            kept.append(node)
    return kept[::-1], needed


def _read_names(node: "NodeProto") -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_names(inner)


def read_graph(path: Path) -> Graph:
    """Reads an ONNX file; nothing in it is run, and no weight is kept.

    Raises:
        HwsearchError: If it is damaged, or its weights lie in files that are missing, short or
            outside its folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
        external = _external_files(model, path)
        onnx.checker.check_model(str(path))
    except (DecodeError, onnx.checker.ValidationError, OSError) as cause:
        reason = str(cause).strip().partition("\n")[0]
        raise HwsearchError(
            f"this ONNX file is damaged: {reason}", where=path, fix=_AGAIN
        ) from cause
    weights = {w.name: prod(w.dims) for w in model.graph.initializer if _is_weight(w)}
    graph = _inferred(model, path)
    weights |= _constants(graph)
    ports = [port for port in graph.input if port.name not in weights]
    stored = {tensor.name for tensor in graph.initializer}
    ports = [port for port in ports if port.name not in stored]
    shapes: dict[str, Sizes] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            shapes[value.name] = _sizes(value)
    float32 = onnx.TensorProto.FLOAT
    return Graph(
        path,
        tuple(port.name for port in ports),
        tuple(port.name for port in graph.output),
        shapes,
        frozenset(port.name for port in ports if port.type.tensor_type.elem_type == float32),
        external,
        tuple(graph.node),
        weights,
    )


def _constants(graph: "GraphProto") -> dict[str, int]:
    """Counts the elements of weights that are nodes, as some exporters have them; one is a number.

    Elsewhere a number beside the network, such as an epsilon, would be a parameter.
    """
    return {
        node.output[0]: prod(attribute.t.dims)
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value" and _is_weight(attribute.t) and prod(attribute.t.dims) > 1
    }


def _inferred(model: "ModelProto", path: Path) -> "GraphProto":
    """Infers all shapes; the values of weights are not needed for it."""
    import onnx
    import onnx.inliner

    for tensor in model.graph.initializer:
        if prod(tensor.dims) > _SMALL:
            for field in ("raw_data", "float_data", "int32_data", "double_data", "external_data"):
                tensor.ClearField(field)
            tensor.ClearField("data_location")
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError) as cause:
        reason = str(cause).strip().partition("\n")[0]
        raise HwsearchError(
            f"the sizes in this ONNX file contradict each other: {reason}", where=path, fix=_AGAIN
        ) from cause


def _external_files(model: "ModelProto", path: Path) -> tuple[Path, ...]:
    """Returns the files with weights beside the model, checked to be there and long enough."""
    folder, found = path.parent.resolve(), {}
    for fields in _external_fields(model):
        file = folder / fields["location"]
        if folder not in file.resolve().parents or file.is_symlink():
            raise HwsearchError(
                f"its weights lie outside its folder: '{fields['location']}'",
                where=path,
                fix="Do not use this file unless you trust it; save it again as one file",
            )
        if not file.is_file():
            raise HwsearchError(
                f"its weights are missing: '{fields['location']}'",
                where=path,
                fix="Copy that file beside it, or export the model again as one file",
            )
        needed = int(fields.get("offset", 0)) + int(fields.get("length", 0))
        if file.stat().st_size < needed:
            raise HwsearchError("this file with weights is truncated", where=file, fix=_AGAIN)
        found[file] = None
    return tuple(found)


def _external_fields(model: "ModelProto") -> Iterator[dict[str, str]]:
    for tensor in model.graph.initializer:
        if tensor.external_data:
            yield {entry.key: entry.value for entry in tensor.external_data}


def _is_weight(tensor: "TensorProto") -> bool:
    import onnx

    return onnx.TensorProto.DataType.Name(tensor.data_type) in _WEIGHT_TYPES


def _sizes(value: "ValueInfoProto") -> Sizes:
    shape = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in shape)
