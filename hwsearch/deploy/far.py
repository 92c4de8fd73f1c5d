"""The build folder: a network for a device elsewhere, verified here as far as it can be.

Shapes: N stored images.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from math import prod
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from hwsearch.deploy.assemble import Assembler
from hwsearch.deploy.manifest import Manifest, Parity, input_of
from hwsearch.deploy.originals import Original, calibration_feeds
from hwsearch.deploy.steps import README, steps
from hwsearch.deploy.verify import check_distance
from hwsearch.device import fingerprint, told_difference
from hwsearch.errors import HwsearchError
from hwsearch.export.scales import check_scales
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.kit.delivery import EXPECTED, INPUTS, ORDER, PROGRAM, Delivery
from hwsearch.kit.parity import MOST_RELATIVE_ERROR, check_errors
from hwsearch.latency.table import Table
from hwsearch.measurement import PROTOCOL
from hwsearch.profiling.models import reference_models
from hwsearch.profiling.remeasure import require_references
from hwsearch.profiling.workshop import Workshop
from hwsearch.profiling.zipapp import write_program
from hwsearch.runtime import form_of, get_runtime
from hwsearch.runtime.base import Engine, LoadOptions, Portable
from hwsearch.runtime.onnx_nodes import op_types
from hwsearch.runtime.onnxruntime import OnnxRuntime
from hwsearch.search.front import FrontPoint

MOST_IMAGES = 32
"""Target images that are stored."""

MOST_BYTES = 32 << 20
"""Fewer are stored if the network's outputs for them would be larger: an engine's come back."""


def why_elsewhere(table: Table) -> str:
    """Returns why engines for a table cannot be built here; nothing if they can."""
    if fields := told_difference(table.header.fingerprint, fingerprint()):
        return f"the table is of another device, {fields}"
    try:
        get_runtime(table.runtime)
    except HwsearchError as missing:
        return str(missing)
    return ""


def write_build_folder(
    assemble: Assembler, point: FrontPoint, limit_ms: float | None = None
) -> tuple[Delivery, Manifest]:
    """Writes what another device needs to build an engine, and to check and measure it.

    What the engine will be built from is run here first: it must compute what the network does.

    Args:
        assemble: Writes the files of a network into the folder.
        point: The network.
        limit_ms: The budget that it was picked for, or None.

    Returns:
        The order that the folder holds, and what was found here, its parity that of the file.

    Raises:
        HwsearchError: If the outputs differ from the network's, the distance to the teacher rises
            too much, or the table's references cannot be made again.
    """
    table, folder = assemble.inputs.table(point.table), assemble.folder
    with assemble.open(point, form_of(table.runtime)) as original:
        model = assemble.in_precision(original, table)
        found = _verified(assemble, point, original, model)
        kept = tuple(sorted(path.name for path in folder.iterdir()))
        images = _store(folder, original, assemble)
    found = replace(found, latency=replace(found.latency, limit_ms=limit_ms))
    parity = Parity(images, found.parity.reference, MOST_RELATIVE_ERROR[table.precision], {})
    built_from = model.file(form_of(table.runtime)).name
    small, large = _references(folder, table)
    write_program(folder / PROGRAM, "hwsearch.kit.far")
    write_atomic(folder / README, steps(table, found, built_from))
    delivery = Delivery(
        header=_header(folder, table, (small, large)),
        fingerprint=table.header.fingerprint,
        threads=table.threads,
        measure_seconds=assemble.seconds,
        nominal_ms=(table.header.references[0].nominal_ms, table.header.references[1].nominal_ms),
        exponents=table.header.exponents,
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
        kept=kept,
        model=built_from,
        references=(small, large),
        manifest=msgspec.to_builtins(replace(found, parity=parity)),
    )
    delivery.write(folder / ORDER)
    return delivery, found


def _verified(
    assemble: Assembler, point: FrontPoint, original: Original, model: Portable
) -> Manifest:
    """Describes what an engine is to be built from, unless it computes something else."""
    table = assemble.inputs.table(point.table)
    path = model.file(form_of(table.runtime))
    own = path == original.model.onnx  # then the runtime decides on the numbers
    with _run_here(model, table.precision) as (engine, runner):
        judged = assemble.judge(point, engine, original, "fp32" if own else table.precision)
    check_errors(
        judged.parity.outputs,
        judged.parity.tolerance,
        precision=table.precision,
        engine=f"file {path.name}, computed by {runner},",
        reference=judged.parity.reference,
        fix="Nothing was delivered; choose another --table, or --pick another point",
    )
    check_distance(judged.after, judged.before, table.precision, table.runtime)
    if table.precision == "int8" and "QuantizeLinear" not in op_types(original.model.file("onnx")):
        check_scales(path, calibration_feeds(original.takes, assemble.images))
    found = assemble.described(point, original, judged)
    return replace(found, distance=replace(found.distance, stand_in=runner))


@contextmanager
def _run_here(model: Portable, precision: str) -> Iterator[tuple[Engine, str]]:
    """Loads the file that an engine will be built from as it stands; names what runs it."""
    if model.program is not None:
        options = LoadOptions(precision=precision)
        with get_runtime("torch").load(model.program, options) as engine:
            yield engine, "torch"
    else:
        with OnnxRuntime().load_plain(model.file("onnx")) as engine:
            yield engine, "unoptimised ONNX Runtime"


def _store(folder: Path, original: Original, assemble: Assembler) -> int:
    """Stores images and what the float network gives for them; returns how many."""
    takes, shapes = original.takes, [output.shape for output in original.gives]
    size = 4 * sum(prod(shape) for shape in shapes)
    most = max(1, min(MOST_IMAGES, MOST_BYTES // size))
    images = input_of(takes, assemble.images.prepared(takes.side)[:most])
    named = zip(original.run(images), shapes, strict=True)
    np.save(folder / INPUTS, images)
    np.savez(folder / EXPECTED, *(x.reshape(len(images), *shape) for x, shape in named))
    return len(images)


def _references(folder: Path, table: Table) -> tuple[str, str]:
    """Writes what the table's references are built from; returns the names of the files."""
    made, names = [], []
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as temporary:
        workshop = Workshop(Path(temporary), table.runtime, table.precision, table.batch)
        for model in reference_models():
            path = workshop.export(model)
            names.append(f"reference_{model.key}{path.suffix}")
            write_atomic(folder / names[-1], path.read_bytes())
            made.append(sha256_of(path))
    require_references(table, (made[0], made[1]))
    return names[0], names[1]


def _header(folder: Path, table: Table, references: tuple[str, str]) -> dict[str, object]:
    """What all visits will have in common, but for what the device decides."""
    return {
        "protocol": PROTOCOL,
        "space": table.space,
        "runtime": table.runtime,
        "precision": table.precision,
        "batch": table.batch,
        "pace_hz": table.pace_hz,
        "device": table.device,
        "references": [sha256_of(folder / name) for name in references],
        "versions": {"hwsearch": version("hwsearch")},
    }
