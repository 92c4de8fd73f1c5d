"""How much of an ONNX graph's feature maps is alive at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto

_VIEWS = frozenset({"Flatten", "Identity", "Dropout", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators whose output is their first input, seen with other sizes."""

_OVERWRITING = frozenset(
    {"BatchNormalization", "Clip", "Elu", "Erf", "HardSigmoid", "HardSwish", "LeakyRelu"}
    | {"PRelu", "Relu", "Sigmoid", "Softmax", "Softplus", "Tanh"}
    | {"Add", "Div", "Mul", "Sub"}
)
"""Operators that runtimes fold into the one before, or let write over the one map they read."""


def peak_elements(
    nodes: "Sequence[NodeProto]", sizes: Mapping[str, int], image: str, output: str
) -> int:
    """Most elements of feature maps alive at once while a graph runs.

    Counted as for lowered networks (`hwsearch.kinds.peak_elements`): a node's inputs, its
    outputs, and what later nodes still need; the image until it was read. Tensors without a
    known size, such as those that compute shapes, count as nothing.

    Args:
        nodes: In the order in which they run.
        sizes: Elements of feature maps by name, weights left out.
        image: Name of the input.
        output: Name of the output.
    """
    last_use = {name: place for place, node in enumerate(nodes) for name in node.input}
    last_use[output] = len(nodes)
    holder, ends = {image: image}, {image: last_use.get(image, 0)}
    peak = 0
    for place, node in enumerate(nodes):
        if node.op_type == "Constant":
            continue
        read = [holder[name] for name in node.input if name in holder]
        # A product of two maps ends an activation such as GELU or SiLU, which runtimes fuse.
        source = read[0] if len(read) == 1 or (read and node.op_type == "Mul") else None
        for name in node.output:
            if source and (
                node.op_type in _VIEWS or (node.op_type in _OVERWRITING and ends[source] == place)
            ):
                holder[name] = source
            elif name in sizes:
                holder[name] = name
            else:
                continue
            buffer = holder[name]
            ends[buffer] = max(ends.get(buffer, place), last_use.get(name, place))
        alive = (name for name, end in ends.items() if end >= place)
        peak = max(peak, sum(sizes[name] for name in alive))
    return peak
