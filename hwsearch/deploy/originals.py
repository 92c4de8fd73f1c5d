"""The float network that an engine is built from: its file, and the outputs it must give."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from hwsearch.data.prepare import MEAN, STD, normalise_array
from hwsearch.deploy.manifest import Input, Output
from hwsearch.distance import CatalogueStudents, Students, SupernetStudents, TargetImages
from hwsearch.export.onnx import INPUT_NAME, OUTPUT_NAME, export_network
from hwsearch.export.program import export_network_program
from hwsearch.export.quantise import image_feeds
from hwsearch.export.single import single_file
from hwsearch.nn import StaticNet
from hwsearch.nn.rounded import RANGE_IMAGES
from hwsearch.runtime.base import Engine, Feed, Form, Portable
from hwsearch.runtime.embed import embed_all
from hwsearch.runtime.onnxruntime import OnnxRuntime
from hwsearch.space import Subnet

_FILE = "model.onnx"
_PROGRAM = "model.pt2"


@dataclass(frozen=True)
class Original:
    """A network before it becomes an engine.

    Attributes:
        model: Its files in the engine's folder: ONNX in float32, and an exported program if the
            engine is built from one.
        takes: The engine's input.
        gives: The engine's output.
        outputs_NE: Its own embeddings of the target images, float32[N, E].
        reference: What computed them.
        fingerprint: Names where its weights are from.
        weights: Which weights these are.
    """

    model: Portable
    takes: Input
    gives: Output
    outputs_NE: np.ndarray
    reference: str
    fingerprint: str
    weights: str


def write_original(
    folder: Path, subnet: Subnet, students: Students, *, batch: int, form: Form, precision: str
) -> Original:
    """Writes the files of a network and computes what they must give.

    Args:
        folder: The engine's folder.
        subnet: Which network.
        students: Where it comes from.
        batch: Images a call.
        form: What the engine will be built from.
        precision: Numbers that an exported program computes in.
    """
    if isinstance(students, CatalogueStudents):
        return _copied(folder, subnet, students)
    assert isinstance(students, SupernetStudents)
    net = students.network(subnet)
    save_file(net.state_dict(), folder / "weights.safetensors")
    model = export_network(net, folder / _FILE, batch=batch)
    if form == "program":
        path = folder / _PROGRAM
        program = export_network_program(net, path, batch=batch, precision=precision).program
        model = replace(model, program=program)
    return _extracted(net, model, students, batch)


def _extracted(net: StaticNet, model: Portable, students: SupernetStudents, batch: int) -> Original:
    """Describes a network that was extracted, calibrated and exported."""
    side = net.lowered[0].in_side
    return Original(
        model=model,
        takes=Input(INPUT_NAME, side, (MEAN, MEAN, MEAN), (STD, STD, STD), batch),
        gives=Output(OUTPUT_NAME, net.embedding_width),
        outputs_NE=students.embeddings_of(net),
        reference="torch",
        fingerprint=students.run.fingerprint,
        weights=students.weights,
    )


def _copied(folder: Path, subnet: Subnet, students: CatalogueStudents) -> Original:
    """Copies a ready model; the file as the user has it tells what it computes."""
    model, copy = students.space.model(subnet), folder / _FILE
    if single_file(model, copy) != copy:
        shutil.copyfile(model.path, copy)
    takes = Input(model.input_name, model.side, model.mean, model.std, model.batch)
    gives = Output(model.output_name, model.width)
    with OnnxRuntime().load_plain(model.path) as engine:
        outputs_NE = embeddings_of(engine, takes, gives, students.images)
    return Original(
        model=Portable(copy),
        takes=takes,
        gives=gives,
        outputs_NE=outputs_NE,
        reference="unoptimised ONNX Runtime",
        fingerprint=model.sha256,
        weights=model.weights or "file",
    )


def calibration_feeds(takes: Input, images: TargetImages) -> Sequence[Feed]:
    """Returns target images, evenly chosen, that a quantiser tells ranges of activations from."""
    prepared = images.prepared(takes.side)
    count = min(len(prepared), RANGE_IMAGES)
    chosen = np.linspace(0, len(prepared) - 1, count).round().astype(int)
    inputs_NCHW = normalise_array(prepared[chosen], takes.mean, takes.std)
    return image_feeds(takes.name, inputs_NCHW, takes.batch)


def embeddings_of(engine: Engine, takes: Input, gives: Output, images: TargetImages) -> np.ndarray:
    """Computes a loaded engine's embeddings of the target images, float32[N, E]."""
    inputs = images.inputs(takes.side, mean=takes.mean, std=takes.std)
    return embed_all(
        engine, inputs, input_name=takes.name, output_name=gives.name, batch=takes.batch
    )
