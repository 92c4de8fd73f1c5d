"""The float network that an engine is built from: its file, and what gives its outputs."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import save

from hwsearch.block import Shape
from hwsearch.data.prepare import MEAN, STD, normalise_array
from hwsearch.deploy.manifest import Input, Output, input_of
from hwsearch.distance import CatalogueStudents, Students, SupernetStudents, TargetImages
from hwsearch.distance.base import Outputs
from hwsearch.errors import HwsearchError
from hwsearch.export.calls import free_batch, take_bytes
from hwsearch.export.onnx import INPUT_NAME, export_network
from hwsearch.export.quantise import image_feeds
from hwsearch.export.single import single_file
from hwsearch.journal import write_atomic
from hwsearch.kinds import cost_of
from hwsearch.nn import StaticNet
from hwsearch.nn.rounded import RANGE_IMAGES
from hwsearch.runtime.base import Engine, Feed, Form, Portable
from hwsearch.runtime.embed import compute
from hwsearch.runtime.onnxruntime import OnnxRuntime
from hwsearch.space import Subnet

_RAW_RUNTIMES = ("onnxruntime", "openvino", "tensorrt")
_ANY_BATCH_RUNTIMES = ("onnxruntime", "openvino")
_FILE = "model.onnx"
_PROGRAM = "model.pt2"


@dataclass(frozen=True)
class Calls:
    """How an engine is to be called.

    Attributes:
        any_batch: With any number of images.
        raw: With bytes that it normalises itself.
    """

    any_batch: bool = False
    raw: bool = False

    def check(self, runtime: str) -> None:
        """Refuses what a runtime cannot do.

        Raises:
            HwsearchError: If it cannot.
        """
        for flag, asked, able in (
            ("--dynamic-batch", self.any_batch, _ANY_BATCH_RUNTIMES),
            ("--raw-input", self.raw, _RAW_RUNTIMES),
        ):
            if asked and not runtime.startswith(able):
                raise HwsearchError(
                    f"{flag} is not for {runtime}",
                    fix=f"Leave it out, or take a table of {' or '.join(able)}",
                )

    def write(self, model: Path, takes: Input) -> None:
        """Changes an ONNX file that takes a fixed batch of normalised floats.

        Args:
            model: The file.
            takes: The engine's input.
        """
        if self.any_batch:
            free_batch(model)
        if self.raw:
            take_bytes(model, takes.name, takes.mean, takes.std)


@dataclass(frozen=True)
class Original:
    """A network before it becomes an engine.

    Attributes:
        model: Its files in the engine's folder: ONNX in float32, and an exported program if the
            engine is built from one.
        takes: The engine's input.
        gives: The engine's outputs.
        run: Computes them for a batch of inputs.
        reference: What does so.
        fingerprint: Names where its weights are from.
        weights: Which weights these are.
        head: ONNX file that is to be appended to what the engine is built from, if there is one.
    """

    model: Portable
    takes: Input
    gives: tuple[Output, ...]
    run: Callable[[np.ndarray], Outputs]
    reference: str
    fingerprint: str
    weights: str
    head: Path | None = None


@contextmanager
def open_original(
    folder: Path,
    subnet: Subnet,
    students: Students,
    *,
    finish: Callable[[StaticNet], StaticNet],
    batch: int,
    form: Form,
    precision: str,
    calls: Calls,
) -> Iterator[Original]:
    """Writes the files of a network, which can be run until the block ends.

    Args:
        folder: The engine's folder.
        subnet: Which network.
        students: Where it comes from.
        finish: Gives a calibrated network the outputs it is to have; ready models stay as they are.
        batch: Images a call.
        form: What the engine will be built from.
        precision: Numbers that an exported program computes in.
        calls: How the engine is to be called; the files here are not yet.
    """
    if isinstance(students, CatalogueStudents):
        with _copied(folder, subnet, students) as original:
            yield _called(original, calls)
        return
    assert isinstance(students, SupernetStudents)
    own = students.network(subnet)
    net, names = finish(own), own.state_dict().keys()
    weights = {name: value for name, value in net.state_dict().items() if name in names}
    write_atomic(folder / "weights.safetensors", save(weights))
    model = export_network(net, folder / _FILE, batch=batch)
    if form == "program":
        from hwsearch.export.program import export_network_program  # takes a second

        path = folder / _PROGRAM
        program = export_network_program(net, path, batch=batch, precision=precision).program
        model = replace(model, program=program)
    yield _called(_extracted(net, model, students, batch), calls)


def _called(original: Original, calls: Calls) -> Original:
    """Tells how the engine will be called, and lets the network be called like it."""
    takes, run = original.takes, original.run
    called = msgspec.structs.replace(takes, any_batch=calls.any_batch, raw=calls.raw)
    if not calls.raw:
        return replace(original, takes=called)
    return replace(
        original,
        takes=called,
        run=lambda images_NHWC: run(normalise_array(images_NHWC, takes.mean, takes.std)),
    )


def _extracted(net: StaticNet, model: Portable, students: SupernetStudents, batch: int) -> Original:
    """Describes a network that was extracted, calibrated and exported."""
    side = net.lowered[0].in_side
    shapes = {block.output: cost_of(block).out_shape for block in net.lowered if block.output}

    @torch.no_grad()
    def run(inputs_NCHW: np.ndarray) -> Outputs:
        return [x.numpy() for x in net(torch.from_numpy(inputs_NCHW)).outputs.values()]

    return Original(
        model=model,
        takes=Input(INPUT_NAME, side, (MEAN, MEAN, MEAN), (STD, STD, STD), batch),
        gives=tuple(Output(name, _without_place(shape)) for name, shape in shapes.items()),
        run=run,
        reference="torch",
        fingerprint=students.run.fingerprint,
        weights=students.weights,
    )


def _without_place(shape: Shape) -> tuple[int, ...]:
    return shape[:1] if shape[1:] == (1, 1) else shape


@contextmanager
def _copied(folder: Path, subnet: Subnet, students: CatalogueStudents) -> Iterator[Original]:
    """Copies a ready model; the file as the user has it tells what it computes."""
    model, copy = students.space.model(subnet), folder / _FILE
    if single_file(model, copy) != copy:
        shutil.copyfile(model.path, copy)
    takes = Input(model.input_name, model.side, model.mean, model.std, model.batch)
    gives = (Output(model.output_name, (model.width,)),)
    with OnnxRuntime().load_plain(model.path) as engine:
        yield Original(
            model=Portable(copy),
            takes=takes,
            gives=gives,
            run=partial(outputs_of, engine, takes, gives),
            reference="unoptimised ONNX Runtime",
            fingerprint=model.sha256,
            weights=model.weights or "file",
        )


def calibration_feeds(takes: Input, images: TargetImages) -> Sequence[Feed]:
    """Returns target images, evenly chosen, that a quantiser tells ranges of activations from."""
    prepared = images.prepared(takes.side)
    count = min(len(prepared), RANGE_IMAGES)
    chosen = np.linspace(0, len(prepared) - 1, count).round().astype(int)
    return image_feeds(takes.name, input_of(takes, prepared[chosen]), takes.batch)


def outputs_of(
    engine: Engine, takes: Input, gives: Sequence[Output], inputs_NCHW: np.ndarray
) -> Outputs:
    """Computes a loaded engine's outputs for any number of inputs."""
    names = [output.name for output in gives]
    return compute(
        engine,
        inputs_NCHW,
        input_name=takes.name,
        outputs=names,
        batch=takes.batch,
        any_batch=takes.any_batch,
    )


def inputs_of(takes: Input, images: TargetImages) -> Iterator[np.ndarray]:
    """Yields the target images as an engine takes them, in their batches."""
    prepared = images.prepared(takes.side)
    for start in range(0, len(prepared), images.batch):
        yield input_of(takes, prepared[start : start + images.batch])
