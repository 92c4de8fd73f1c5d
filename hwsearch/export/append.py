"""Appends one ONNX graph to another, which keeps its outputs."""

from pathlib import Path

import onnx
from onnx import compose, version_converter

from hwsearch.journal import write_atomic
from hwsearch.runtime.base import HEAD_PREFIX


def append_graph(path: Path, head: Path) -> None:
    """Feeds outputs of an ONNX file into another one, whose outputs become further ones of it.

    Args:
        path: The file, quantised or not; it is written anew.
        head: What is appended as it is; its inputs are called as outputs of the first.
    """
    model, added = onnx.load(path), onnx.load(head)
    (opset,) = (item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    (own,) = (item.version for item in added.opset_import if item.domain in ("", "ai.onnx"))
    if own != opset:
        added = version_converter.convert_version(added, opset)
    names = {value.name for value in (*added.graph.input, *added.graph.output)}
    graph = compose.add_prefix(added, HEAD_PREFIX).graph
    for node in graph.node:
        node.name = node.name or f"{HEAD_PREFIX}{node.output[0]}"  # else it has no prefix
        for ports in (node.input, node.output):
            ports[:] = [_without_prefix(name, names) for name in ports]
    model.graph.node.extend(graph.node)
    model.graph.initializer.extend(graph.initializer)
    model.graph.output.extend(added.graph.output)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    write_atomic(path, model.SerializeToString(deterministic=True))


def _without_prefix(name: str, kept: set[str]) -> str:
    plain = name.removeprefix(HEAD_PREFIX)
    return plain if plain in kept else name
