"""Catalogues: a folder of ONNX files, each of them one network to choose."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from hwsearch.block import Block
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.journal import sha256_of
from hwsearch.space import Dim, Part, Space, Subnet, Values
from hwsearch.spaces.notes import NOTES_NAME, Channels, Notes, read_notes
from hwsearch.spaces.onnx_graph import Graph, Sizes, read_graph
from hwsearch.spaces.registry import path_of, register_scheme

DIM = "model"
"""Name of a catalogue's one dimension."""

_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_FIXED = (
    "Export with a fixed batch and side, or fix them: python -m "
    "onnxruntime.tools.make_dynamic_shape_fixed --input_name {name} --input_shape 1,3,224,224 "
    "IN.onnx OUT.onnx"
)


@dataclass(frozen=True)
class OnnxModel:
    """One ready network in an ONNX file.

    Attributes:
        name: The file's name without its ending.
        path: The file.
        sha256: Hash of all that decides what is computed: the file, weights beside it, output.
        side: Height and width of the input in pixels.
        batch: Images a call.
        input_name: Name of the input, float32[batch, 3, side, side].
        output_name: Name of the output that is used as embedding.
        width: Size E of that output, [batch, E] or [batch, E, 1, 1].
        mean: Subtracted from pixels scaled to 0 to 1, for red, green and blue.
        std: Divides the result.
        macs: Multiply-accumulates for one image.
        params: Learned parameters.
        peak_elements: Most elements of feature maps alive at once, for one image.
        weights: Where the weights are from, as far as it is known; "random" if never trained.
        single: Whether the file holds this one output and all weights.
    """

    name: str
    path: Path
    sha256: str
    side: int
    batch: int
    input_name: str
    output_name: str
    width: int
    mean: Channels
    std: Channels
    macs: int
    params: int
    peak_elements: int
    weights: str
    single: bool

    def block(self) -> Block:
        """Returns the whole network as one block; its key holds the hash."""
        return Block(
            kind=f"model:{self.sha256[:12]}",
            sizes=(("in", 3), ("out", self.width)),
            in_side=self.side,
            settings=(
                ("macs", self.macs),
                ("params", self.params),
                ("peak", self.peak_elements),
            ),
            slot=self.name,
            output="embedding",
        )


@dataclass(frozen=True)
class Catalogue(Space):
    """A space of ready networks that share no weights.

    Attributes:
        models: The networks by name.
    """

    models: Mapping[str, OnnxModel] = field(repr=False, compare=False)

    def key(self, subnet: Subnet) -> str:
        """Returns what names a network in latency tables; it changes with the file."""
        return self.model(subnet).block().key

    def model(self, subnet: Subnet) -> OnnxModel:
        """Returns the network that a subnet stands for."""
        self._check(subnet)
        return self.models[str(subnet[DIM])]


@register_scheme("catalogue")
def _open(name: str) -> Catalogue:
    folder = path_of(name.partition(":")[2])
    return read_catalogue(folder, f"catalogue:{folder}")


def read_catalogue(folder: Path, name: str) -> Catalogue:
    """Reads all ONNX files of a folder, without its sub-folders.

    Args:
        folder: Where the files and perhaps `catalogue.toml` are.
        name: Name of the space.

    Raises:
        HwsearchError: If there is none, or one cannot be used.
    """
    paths = sorted(folder.glob("*.onnx"))
    if not paths:
        raise HwsearchError(
            "there is no ONNX file here" if folder.is_dir() else "there is no such folder",
            where=folder,
            fix="Write --space catalogue:FOLDER with a folder of .onnx files; if a table knows "
            f"them here and they moved, link their folder: ln -s NEW {folder}",
        )
    notes = read_notes(folder / NOTES_NAME, tuple(path.stem for path in paths))
    models = [read_model(path, notes.get(path.stem, Notes())) for path in paths]
    models.sort(key=lambda model: (model.macs, model.name))
    _refuse_copies(models)
    by_name = {model.name: model for model in models}

    def lower(values: Values) -> tuple[Block, ...]:
        return (by_name[values[DIM]].block(),)

    side = max(model.side for model in models)
    dims = (Dim(DIM, tuple(by_name), prefix=False),)
    return Catalogue(name, (3, side, side), dims, (Part(DIM, (DIM,), lower),), by_name)


def _refuse_copies(models: Iterable[OnnxModel]) -> None:
    known: dict[str, OnnxModel] = {}
    for model in models:
        other = known.setdefault(model.sha256, model)
        if other is not model:
            raise HwsearchError(
                f"this is the same model as {other.path.name}",
                where=model.path,
                fix="Take one of the two out of the folder",
            )


def read_model(path: Path, notes: Notes) -> OnnxModel:
    """Reads what hwsearch must know of an ONNX file.

    Args:
        path: The file.
        notes: What the file does not say.

    Raises:
        HwsearchError: If it is damaged, or takes or gives something else than images and
            embeddings of fixed sizes.
    """
    if not _NAME.fullmatch(path.stem):
        raise HwsearchError(
            "the file's name has other characters than A-Z a-z 0-9 _ . + -",
            where=path,
            fix="Rename it",
        )
    graph = read_graph(path)
    batch, side = _input_sizes(graph)
    output = _output_name(graph, notes.output)
    width = _width(graph, output, batch)
    macs, params, peak = graph.cost(output)
    single = len(graph.outputs) == 1 and not graph.external
    return OnnxModel(
        name=path.stem,
        path=path,
        sha256=sha256_of(path) if single else _hash_of_all(graph, output),
        side=side,
        batch=batch,
        input_name=graph.inputs[0],
        output_name=output,
        width=width,
        mean=notes.mean,
        std=notes.std,
        macs=macs // batch,
        params=params,
        peak_elements=peak // batch,
        weights=notes.weights,
        single=single,
    )


def _input_sizes(graph: Graph) -> tuple[int, int]:
    """Returns batch and side of the one input."""
    if len(graph.inputs) != 1:
        raise HwsearchError(
            f"the model has {len(graph.inputs)} inputs ({', '.join(graph.inputs)}), not one",
            where=graph.path,
            fix="Export it so that it takes images alone",
        )
    name = graph.inputs[0]
    shape = graph.shapes[name]
    if None in shape:
        raise HwsearchError(
            f"input '{name}' has no fixed size: {_text(shape)}",
            where=graph.path,
            fix=_FIXED.format(name=name),
        )
    if name not in graph.float_inputs or not _is_image(shape):
        kind = "float32" if name in graph.float_inputs else "another type than float32"
        raise HwsearchError(
            f"input '{name}' is {kind} {_text(shape)}, not float32 [batch, 3, side, side]",
            where=graph.path,
            fix="Export it so that it takes normalised square RGB images",
        )
    return shape[0], shape[2]


def _is_image(shape: Sizes) -> TypeGuard[tuple[int, int, int, int]]:
    return len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3] and 0 not in shape


def _output_name(graph: Graph, wanted: str) -> str:
    if wanted and wanted not in graph.outputs:
        raise unknown_name(f"output of {graph.path.name}", wanted, graph.outputs)
    if not wanted and len(graph.outputs) != 1:
        raise HwsearchError(
            f"the model has several outputs: {', '.join(graph.outputs)}",
            where=graph.path,
            fix=f'Name the embedding in {NOTES_NAME}: ["{graph.path.stem}"] output = "NAME"',
        )
    return wanted or graph.outputs[0]


def _width(graph: Graph, output: str, batch: int) -> int:
    shape = graph.shapes[output]
    flat = len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))
    width = shape[1] if flat else None
    if width is None or shape[0] != batch:
        names = ", ".join(f"{name} {_text(graph.shapes[name])}" for name in graph.outputs)
        raise HwsearchError(
            f"output '{output}' is no embedding [{batch}, E] or [{batch}, E, 1, 1]; "
            f"outputs: {names}",
            where=graph.path,
            fix=f'Export the pooled features, or name another in {NOTES_NAME}: output = "NAME"',
        )
    return width


def _text(shape: Sizes) -> str:
    return "[{}]".format(", ".join("?" if size is None else str(size) for size in shape))


def _hash_of_all(graph: Graph, output: str) -> str:
    parts = [output, *(sha256_of(path) for path in (graph.path, *graph.external))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
