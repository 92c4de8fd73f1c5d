"""Exported torch programs: read only if they hold aten operators on fixed shapes and no pickle."""

import io
import json
import math
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.export.pt2_archive._package  # what torch.export.load imports first, for a second
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import TensorSpec, fixed_shape

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types of weights by precision."""

_RECORDS = (
    "models/model.json",
    "data/weights/weight_",
    "data/weights/model_weights_config.json",
    "data/constants/tensor_",
    "data/constants/model_constants_config.json",
    "data/sample_inputs/model.pt",
    "archive_",
    "byteorder",
    ".data/",
)
"""How the records of a program without custom objects or native code begin."""


@dataclass(frozen=True)
class Border:
    """What goes into a program and what comes out.

    Attributes:
        takes: The inputs, in order.
        strides: How each lies in memory, in elements.
        gives: Names of the outputs, in order.
    """

    takes: tuple[TensorSpec, ...]
    strides: tuple[tuple[int, ...], ...]
    gives: tuple[str, ...]


def read_program(path: Path) -> ExportedProgram:
    """Reads an exported program.

    `torch.export.load` unpickles what an archive tells it to and evaluates expressions in it, so
    an archive with anything but tensors, aten operators and numbers is refused before.

    Raises:
        HwsearchError: If the file holds something else or its shapes are not fixed.
        Exception: Whatever zipfile and torch raise for a file that is no program.
    """
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            _check_record(name.partition("/")[2], archive.read(name), path)
    with warnings.catch_warnings():
        # Up to torch 2.11 the loader says so of its own bytes, which nobody writes to.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.export.load(io.BytesIO(data))


def _check_record(name: str, data: bytes, path: Path) -> None:
    if not name.startswith(_RECORDS):
        raise _refused(f"it holds {name}", path)
    if name.endswith(".pt"):
        try:
            torch.load(io.BytesIO(data), weights_only=True)
        except UnpicklingError as cause:
            raise _refused("it holds pickled objects", path) from cause
    if name.endswith("_config.json"):
        entries = json.loads(data)["config"].values()
        if any(entry["use_pickle"] for entry in entries):
            raise _refused("it holds pickled objects", path)
    if name == "models/model.json":
        _check_graph(json.loads(data), path)


def _check_graph(model: dict[str, Any], path: Path) -> None:
    if model["range_constraints"] or '"expr_str"' in json.dumps(model):
        raise HwsearchError(
            "the program has no fixed shape",
            where=path,
            fix="Export it with a fixed batch (--batch)",
        )
    targets = {node["target"] for node in model["graph_module"]["graph"]["nodes"]}
    if others := sorted(target for target in targets if not target.startswith("torch.ops.aten.")):
        raise _refused(f"it calls {others[0]}", path)


def _refused(reason: str, path: Path) -> HwsearchError:
    return HwsearchError(
        f"this program is none that hwsearch exports: {reason}",
        where=path,
        fix="Do not use this file; export it again",
    )


def border_of(program: ExportedProgram, path: Path) -> Border:
    """Returns what goes in and out; a program has a dictionary of outputs."""
    nodes = {node.name: node for node in program.graph.nodes}
    given = program.graph_signature.user_inputs
    examples = {str(name): nodes[str(name)].meta["val"] for name in given}
    count = len(program.graph_signature.user_outputs)
    tree = program.call_spec.out_spec
    assert tree is not None
    places = tree.unflatten(range(count))
    return Border(
        tuple(_spec_of(name, example, path) for name, example in examples.items()),
        tuple(tuple(example.stride()) for example in examples.values()),
        tuple(sorted(places, key=places.__getitem__)),
    )


def _spec_of(name: str, example: Tensor, path: Path) -> TensorSpec:
    shape = fixed_shape(name, tuple(example.shape), path)
    return TensorSpec(name, shape, str(example.dtype).removeprefix("torch."))


def require_precision(program: ExportedProgram, precision: str, path: Path) -> None:
    """Refuses a program whose weights are not of the type that a precision means."""
    dtypes = {tensor.dtype for tensor in program.state_dict.values() if tensor.is_floating_point()}
    if others := dtypes - {DTYPES[precision]}:
        raise HwsearchError(
            f"the program computes in {', '.join(map(str, others))}, not in {precision}",
            where=path,
            fix="Export it again in the precision asked for",
        )


def call_of(program: ExportedProgram, device: torch.device) -> Callable[..., Sequence[Tensor]]:
    """Returns a function from the program's inputs to its outputs, its weights channels-last."""
    tensors = {**program.state_dict, **program.constants}
    specs = program.graph_signature.input_specs
    fixed = specs[: -len(program.graph_signature.user_inputs)]
    assert all(spec.kind is not InputKind.USER_INPUT for spec in fixed)
    weights = [_placed(tensors[str(spec.target)], device) for spec in fixed]
    # The generated function needs no module; without one the graph, which is large, can go.
    return partial(type(program.graph_module).forward, None, *weights)


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    kernel = tensor.dim() == 4 and math.prod(tensor.shape) > 0
    layout = torch.channels_last if kernel else torch.preserve_format
    return tensor.detach().to(device, memory_format=layout)
