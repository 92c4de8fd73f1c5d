"""From a model whose weights lie in several files, or that has other outputs, to one ONNX file."""

from pathlib import Path

import onnx
from google.protobuf.message import EncodeError

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.spaces.catalogue import OnnxModel
from hwsearch.spaces.onnx_graph import needed_for


def single_file(model: OnnxModel, out: Path) -> Path:
    """Returns an ONNX file that holds all weights and gives the embedding alone.

    Args:
        model: A model of a catalogue.
        out: Where to write that file if the model itself is none.

    Raises:
        HwsearchError: If it would be larger than an ONNX file can be.
    """
    if model.single:
        return model.path
    whole = onnx.load(model.path)
    _keep_output(whole.graph, model.output_name)
    try:
        data = whole.SerializeToString()
    except (EncodeError, ValueError) as cause:
        raise HwsearchError(
            "the model is larger than the 2 GB of one ONNX file",
            where=model.path,
            fix="Take it out of the catalogue",
        ) from cause
    write_atomic(out, data)
    onnx.checker.check_model(str(out), full_check=True)
    return out


def _keep_output(graph: onnx.GraphProto, output: str) -> None:
    """Drops all other outputs, and the nodes and weights that only they needed."""
    nodes, needed = needed_for(output, graph.node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    outputs = [value for value in graph.output if value.name == output]
    for field, kept in (("node", nodes), ("initializer", weights), ("output", outputs)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(kept)
