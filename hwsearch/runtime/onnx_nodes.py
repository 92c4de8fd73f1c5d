"""What an ONNX file computes with, read without the package onnx: devices may lack it."""

import mmap
from collections.abc import Iterator
from pathlib import Path

_GRAPH, _NODE, _OP_TYPE, _INITIALIZER, _DATA_TYPE = 7, 1, 4, 5, 2
"""Field numbers in onnx.proto: of ModelProto, GraphProto, NodeProto, GraphProto, TensorProto."""

_FLOAT16 = 10
"""TensorProto.FLOAT16."""


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


def graph_precision(path: Path) -> str:
    """Returns the precision that a graph is written for, or nothing if nothing multiplies in it."""
    if "QuantizeLinear" in op_types(path):
        return "int8"
    if not any(products(path)):
        return ""
    return "fp16" if _FLOAT16 in _weight_types(path) else "fp32"


def _weight_types(path: Path) -> frozenset[int]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graphs = _fields(data, _GRAPH, 0, len(data))
        tensors = (place for graph in graphs for place in _fields(data, _INITIALIZER, *graph))
        types = (place for tensor in tensors for place in _fields(data, _DATA_TYPE, *tensor))
        return frozenset(_varint(data, start)[0] for start, _ in types)


def products(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the convolutions and matrix products of an ONNX file: integer ones, other ones."""
    found = set(filter(multiplies, op_types(path)))
    integer = {name for name in found if name.startswith(("Q", "Dynamic")) or "Integer" in name}
    return frozenset(integer), frozenset(found - integer)


def multiplies(op_type: str) -> bool:
    """Tells whether a type of operators is a convolution or a matrix product."""
    return any(part in op_type for part in _PRODUCTS)


_PRODUCTS = ("Conv", "MatMul", "Gemm", "Attention")
"""Part of the names of all that multiply, such as QLinearConv and FusedMatMul."""


def _fields(data: mmap.mmap, wanted: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields where each string, message or integer of one field begins and ends in a message."""
    while start < end:
        tag, start = _varint(data, start)
        match tag & 7:
            case 0:
                begin = start
                _, start = _varint(data, start)
                if tag >> 3 == wanted:
                    yield begin, start
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
