"""Deploy: from a point of the Pareto front to a verified engine in a folder of its own."""

import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hwsearch.block import Shape
from hwsearch.data.prepare import MEAN, STD
from hwsearch.deploy.embed import embed
from hwsearch.deploy.manifest import (
    SCHEMA,
    Distance,
    Input,
    Latency,
    Manifest,
    Output,
    write_manifest,
)
from hwsearch.deploy.verify import check_parity, parity, torch_embeddings
from hwsearch.device import fingerprint
from hwsearch.distance import TeacherDistance
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import INPUT_NAME, OUTPUT_NAME, export_network
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table, require_this_device
from hwsearch.nn import StaticNet
from hwsearch.profiling.remeasure import remeasure
from hwsearch.progress import console
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.search.front import FrontPoint, pick_point, read_front
from hwsearch.search.inputs import label_of, open_search


@dataclass(frozen=True)
class DeployOptions:
    """What to deliver."""

    search: Path
    """Folder of a finished search."""

    out: Path
    """Folder to write the engine to; must not exist."""

    pick: str = "knee"
    """Which point of the front: knee, max-latency-ms=NUMBER or index=NUMBER."""

    table: str = ""
    """Latency table of the target, by name or path; not needed if the search had one table."""

    tables_dir: Path | None = None
    """Folder of latency tables, searched first."""

    measure_seconds: float = 10.0
    """Time for measuring the engine's latency."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        if self.measure_seconds <= 0:
            raise HwsearchError("--measure-seconds must be above 0")


def deploy(options: DeployOptions) -> Path:
    """Extracts, calibrates, exports, builds, checks and measures one network of a search.

    The folder appears only when everything in it has been verified.

    Returns:
        The engine's folder.

    Raises:
        HwsearchError: If the pick is not on the front, the folder exists, the table is of
            another device, or the engine's outputs differ from torch's.
    """
    if options.out.exists():
        raise HwsearchError(
            "the output folder exists", where=options.out, fix="Name another --out, or remove it"
        )
    found = open_search(options.search, tables_dir=options.tables_dir)
    table = found.table(options.table)
    require_this_device(table)
    point = pick_point(read_front(options.search), label_of(table), options.pick)
    distance = found.distance()
    partial = options.out.with_name(options.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    manifest = _assemble(partial, point, table, distance, options.measure_seconds)
    write_manifest(partial, manifest)
    partial.rename(options.out)
    _print(options.out, manifest)
    return options.out


@dataclass(frozen=True)
class _Built:
    """An engine's file and what it takes and gives."""

    path: Path
    takes: Input
    gives: Output


def _assemble(
    folder: Path, point: FrontPoint, table: Table, distance: TeacherDistance, seconds: float
) -> Manifest:
    """Writes the engine's files and returns the manifest that describes them."""
    net = distance.network(point.subnet)
    built = _build(folder, net, table, distance.run.space.input_shape)
    provider, engine_NE = _outputs(built, table, distance)
    torch_NE = torch_embeddings(net, distance.images.normalised_BCHW)
    found = parity(engine_NE, torch_NE)
    check_parity(found, table.precision, table.runtime)
    measured = remeasure({"engine": built.path}, table, budget_seconds=seconds)["engine"]
    return Manifest(
        schema=SCHEMA,
        space=point.subnet.space,
        subnet=point.subnet.as_dict(),
        table=point.table,
        runtime=table.runtime,
        provider=provider,
        precision=table.precision,
        threads=table.threads,
        engine=built.path.name,
        input=built.takes,
        output=built.gives,
        latency=Latency(
            predicted_ms=point.latency_ms,
            low_ms=point.low_ms,
            high_ms=point.high_ms,
            measured_ms=measured.latency_ms,
            measured_stderr_rel=measured.stderr_rel,
        ),
        parity=found,
        distance=Distance(
            float_net=point.distance,
            engine=distance.of_embeddings(torch.from_numpy(engine_NE)),
            images=len(engine_NE),
            images_fingerprint=distance.images.fingerprint,
            weights=distance.weights,
        ),
        checkpoint=distance.run.fingerprint,
        device=fingerprint(),
        versions=_versions(table.runtime),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )


def _build(folder: Path, net: StaticNet, table: Table, input_shape: Shape) -> _Built:
    save_file(net.state_dict(), folder / "weights.safetensors")
    portable = export_network(net, input_shape, folder / "model.onnx", batch=table.batch)
    runtime = get_runtime(table.runtime)
    return _Built(
        path=runtime.build(portable, folder, BuildOptions(precision=table.precision)),
        takes=Input(INPUT_NAME, input_shape[1], MEAN, STD, table.batch),
        gives=Output(OUTPUT_NAME, net.embedding_width),
    )


def _outputs(built: _Built, table: Table, distance: TeacherDistance) -> tuple[str, np.ndarray]:
    """Returns what ran the engine, and its embeddings of the target images."""
    options = LoadOptions(threads=table.threads, precision=table.precision)
    with get_runtime(table.runtime).load(built.path, options) as engine:
        images = distance.images.normalised_BCHW.contiguous().numpy()
        return engine.provider, embed(engine, images, built.takes, built.gives)


def _versions(runtime: str) -> dict[str, str]:
    packages = ("hwsearch", "torch", "onnx", "numpy", runtime)
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _print(folder: Path, manifest: Manifest) -> None:
    latency, distance = manifest.latency, manifest.distance
    console.print(
        f"engine {folder / manifest.engine} ({manifest.runtime} {manifest.precision})\n"
        f"  subnet    {','.join(f'{name}={value}' for name, value in manifest.subnet.items())}\n"
        f"  latency   {latency.measured_ms:.3f} ms measured, {latency.predicted_ms:.3f} ms "
        f"predicted ({latency.low_ms:.3f} to {latency.high_ms:.3f})\n"
        f"  parity    {manifest.parity.relative_error:.1e} relative error against torch "
        f"on {manifest.parity.images} images\n"
        f"  distance  {distance.engine:.4f} of the engine, {distance.float_net:.4f} of the "
        f"float network",
        highlight=False,
    )
