"""Q/DQ pairs where TensorRT wants them: symmetric, before products and on skip branches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from onnx import ModelProto, NodeProto

if TYPE_CHECKING:
    from onnxruntime.quantization import CalibrationDataReader, StaticQuantConfig

PRODUCTS = ("Conv", "Gemm", "MatMul")


def settings(
    model: ModelProto, reader: "CalibrationDataReader", *, tokens: bool
) -> "StaticQuantConfig":
    """Returns how ONNX Runtime's quantiser is to quantise for TensorRT.

    Integers are signed with zero-points 0, biases stay in floats, weights stay in floats before
    a Q/DQ pair of their own, and nothing is quantised behind an operator.

    Args:
        model: What is to be quantised.
        reader: Gives the inputs that ranges are told from.
        tokens: Whether the network computes on tokens: then only products are quantised.
    """
    from onnxruntime.quantization import QuantType, StaticQuantConfig

    weights = {tensor.name for tensor in model.graph.initializer}
    additions = [node for node in model.graph.node if node.op_type == "Add"]
    quantised = PRODUCTS if tokens else (*PRODUCTS, "Add")
    return StaticQuantConfig(
        reader,
        op_types_to_quantize=list(quantised),
        nodes_to_exclude=[node.name for node in additions if weights.intersection(node.input)],
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "AddQDQPairToWeight": True,
            "OpTypesToExcludeOutputQuantization": quantised,
        },
    )


def free_main_branches(model: ModelProto) -> None:
    """Removes the pair between a product and the residual addition behind it, if the skip has one.

    TensorRT then computes product, addition and activation in one kernel, which reads the skip
    branch as integers ("Q/DQ Layer-Placement Recommendations" in its manual).

    Args:
        model: Is changed.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    depths = _depths(model)
    for node in model.graph.node:
        if node.op_type == "Add":
            exact = [_before_pair(name, producers) for name in node.input]
            main = [place for place, name in enumerate(exact) if _is_product(name, producers)]
            if all(exact) and main:
                deepest = max(main, key=lambda place: depths[exact[place]])
                node.input[deepest] = exact[deepest]
    _drop_unused(model)


def _before_pair(name: str, producers: Mapping[str, NodeProto]) -> str:
    """Returns what a Q/DQ pair was made of, or nothing if `name` does not come from one."""
    for op_type in ("DequantizeLinear", "QuantizeLinear"):
        node = producers.get(name)
        if node is None or node.op_type != op_type:
            return ""
        name = node.input[0]
    return name


def _is_product(name: str, producers: Mapping[str, NodeProto]) -> bool:
    return name in producers and producers[name].op_type in PRODUCTS


def _depths(model: ModelProto) -> dict[str, int]:
    """Returns the length of the longest way from the inputs to every tensor."""
    depths: dict[str, int] = {}
    for node in model.graph.node:
        depth = 1 + max((depths.get(name, 0) for name in node.input), default=0)
        depths.update(dict.fromkeys(node.output, depth))
    return depths


def _drop_unused(model: ModelProto) -> None:
    """Drops Q/DQ nodes that nothing reads, what only they read, and domains without nodes."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    for place in reversed(range(len(graph.node))):
        if needed.isdisjoint(graph.node[place].output):
            del graph.node[place]
        else:
            needed.update(graph.node[place].input)
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in needed:
            del graph.initializer[place]
    domains = {node.domain for node in graph.node}
    for place in reversed(range(len(model.opset_import))):
        if model.opset_import[place].domain not in domains:
            del model.opset_import[place]
