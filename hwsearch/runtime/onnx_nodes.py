"""Which operators an ONNX file holds, read without the package onnx: devices may lack it."""

import mmap
from collections.abc import Iterator
from pathlib import Path

_GRAPH, _NODE, _OP_TYPE = 7, 1, 4
"""Field numbers of ModelProto.graph, GraphProto.node and NodeProto.op_type in onnx.proto."""


def op_types(path: Path) -> frozenset[str]:
    """Returns the types of all operators of an ONNX file, but for those of inner graphs.

    Raises:
        ValueError, IndexError: If the file is no ONNX file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graphs = _fields(data, _GRAPH, 0, len(data))
        nodes = (node for graph in graphs for node in _fields(data, _NODE, *graph))
        types = (place for node in nodes for place in _fields(data, _OP_TYPE, *node))
        return frozenset(data[start:end].decode() for start, end in types)


def products(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the convolutions and matrix products of an ONNX file: integer ones, other ones."""
    found = {name for name in op_types(path) if any(part in name for part in _PRODUCTS)}
    integer = {name for name in found if name.startswith(("Q", "Dynamic")) or "Integer" in name}
    return frozenset(integer), frozenset(found - integer)


_PRODUCTS = ("Conv", "MatMul", "Gemm", "Attention")
"""Part of the names of all that multiply, such as QLinearConv and FusedMatMul."""


def _fields(data: mmap.mmap, wanted: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields where each length-delimited field of one number begins and ends in a message."""
    while start < end:
        tag, start = _varint(data, start)
        match tag & 7:
            case 0:
                _, start = _varint(data, start)
            case 1:
                start += 8
            case 2:
                size, start = _varint(data, start)
                if tag >> 3 == wanted:
                    yield start, start + size
                start += size
            case 5:
                start += 4
            case other:
                raise ValueError(f"no protobuf: wire type {other}")


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    """Returns the number that begins at `start`, and where it ends."""
    value = shift = 0
    while data[start] & 0x80:
        value |= (data[start] & 0x7F) << shift
        shift, start = shift + 7, start + 1
    return value | data[start] << shift, start + 1
