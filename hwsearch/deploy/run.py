"""Deploy: from a point of the Pareto front to a verified engine in a folder of its own."""

import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hwsearch.deploy.manifest import (
    SCHEMA,
    Distance,
    Latency,
    Manifest,
    write_manifest,
)
from hwsearch.deploy.originals import (
    Original,
    calibration_feeds,
    embeddings_of,
    write_original,
)
from hwsearch.deploy.verify import check_distance, check_parity, parity
from hwsearch.device import fingerprint
from hwsearch.distance import TargetImages, TeacherDistance
from hwsearch.errors import HwsearchError
from hwsearch.export.precision import converter_versions, in_precision
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table, require_this_device
from hwsearch.profiling.remeasure import remeasure
from hwsearch.progress import console
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import SearchInputs, open_search
from hwsearch.spaces.precisions import network_of


@dataclass(frozen=True)
class DeployOptions:
    """What to deliver."""

    search: Path
    """Folder of a finished search."""

    out: Path
    """Folder to write the engine to; must not exist."""

    pick: str = "knee"
    """Which point of the front: knee, max-latency-ms=NUMBER or index=NUMBER; or fleet, the one
    network for all devices of the search."""

    table: str = ""
    """Latency table of the target, by name or path; not needed if the search had one table. After
    a search with --joint, the name of the device: the pick is of all its tables."""

    tables_dir: Path | None = None
    """Folder of latency tables, searched first."""

    measure_seconds: float = 10.0
    """Time for measuring the engine's latency."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        if self.measure_seconds <= 0:
            raise HwsearchError("--measure-seconds must be above 0")


def deploy(options: DeployOptions) -> Path:
    """Extracts and calibrates, or copies, then builds, checks and measures one network.

    The folder appears only when everything in it has been verified.

    Returns:
        The engine's folder.

    Raises:
        HwsearchError: If the pick is not on the front, the folder exists, the table is of
            another device, or the engine's outputs differ from the network's.
    """
    if options.out.exists():
        raise HwsearchError(
            "the output folder exists", where=options.out, fix="Name another --out, or remove it"
        )
    found = open_search(options.search, tables_dir=options.tables_dir)
    point, distance = pick_network(options.search, options.table, options.pick), _distance(found)
    table = found.table(point.table)
    require_this_device(table)
    partial = options.out.with_name(options.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    manifest = _assemble(partial, point, table, found, distance, seconds=options.measure_seconds)
    write_manifest(partial, manifest)
    partial.rename(options.out)
    _print(options.out, manifest)
    return options.out


def _distance(inputs: SearchInputs) -> TeacherDistance:
    """Returns the distance of the search, which an engine's own outputs must be able to have."""
    distance = inputs.distance()
    if isinstance(distance, TeacherDistance) and distance.students is inputs.students:
        return distance
    raise HwsearchError(
        f"engines give pooled features, which cannot be judged by '{inputs.distance_name}', the "
        f"distance of this search for {inputs.options.task}",
        where=inputs.options.out,
        fix="Deliver from a search with --distance projection or relation",
    )


def _assemble(
    folder: Path,
    point: FrontPoint,
    table: Table,
    inputs: SearchInputs,
    distance: TeacherDistance,
    *,
    seconds: float,
) -> Manifest:
    """Writes the engine's files and returns the manifest that describes them."""
    students, network = inputs.students, network_of(inputs.space, point.subnet)
    original = write_original(
        folder,
        point.subnet,
        students,
        batch=table.batch,
        form=get_runtime(table.runtime).takes,
        precision=table.precision,
    )
    engine = _engine(folder, original, table, students.images)
    provider, engine_NE = _outputs(engine, original, table, students.images)
    found = parity(engine_NE, original.outputs_NE, original.reference)
    check_parity(found, table.precision, table.runtime)
    engine_distance = distance.of_embeddings(engine_NE)
    float_distance = distance.of_embeddings(original.outputs_NE)
    check_distance(engine_distance, float_distance, table.precision, table.runtime)
    measured = remeasure({"engine": engine}, table, budget_seconds=seconds)["engine"]
    return Manifest(
        schema=SCHEMA,
        space=network.space,
        subnet=network.as_dict(),
        table=point.table,
        runtime=table.runtime,
        provider=provider,
        precision=table.precision,
        threads=table.threads,
        engine=engine.name,
        input=original.takes,
        output=original.gives,
        latency=Latency(
            predicted_ms=point.latency_ms,
            low_ms=point.low_ms,
            high_ms=point.high_ms,
            measured_ms=measured.latency_ms,
            measured_stderr_rel=measured.stderr_rel,
        ),
        parity=found,
        distance=Distance(
            searched=point.distance,
            float_net=float_distance,
            engine=engine_distance,
            images=len(engine_NE),
            images_fingerprint=students.images.fingerprint,
            weights=original.weights,
        ),
        checkpoint=original.fingerprint,
        device=fingerprint(),
        versions=_versions(table.runtime, table.precision),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )


def _engine(folder: Path, original: Original, table: Table, images: TargetImages) -> Path:
    """Builds the engine, quantised on the target images first if it is to compute in int8."""
    model = in_precision(
        original.model,
        folder / f"model_{table.precision}.onnx",
        runtime=table.runtime,
        precision=table.precision,
        feeds=lambda: calibration_feeds(original.takes, images),
    )
    options = BuildOptions(precision=table.precision)
    return get_runtime(table.runtime).build(model, folder, options)


def _outputs(
    path: Path, original: Original, table: Table, images: TargetImages
) -> tuple[str, np.ndarray]:
    """Returns what ran the engine, and its embeddings of the target images."""
    options = LoadOptions(threads=table.threads, precision=table.precision)
    with get_runtime(table.runtime).load(path, options) as engine:
        return engine.provider, embeddings_of(engine, original.takes, original.gives, images)


def _versions(runtime: str, precision: str) -> dict[str, str]:
    packages = ("hwsearch", "torch", "onnx", "numpy")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        runtime: get_runtime(runtime).version,
        **converter_versions(runtime, precision),
    }


def _print(folder: Path, manifest: Manifest) -> None:
    latency, distance = manifest.latency, manifest.distance
    console.print(
        f"engine {folder / manifest.engine} ({manifest.runtime} {manifest.precision})\n"
        f"  subnet    {','.join(f'{name}={value}' for name, value in manifest.subnet.items())}\n"
        f"  latency   {latency.measured_ms:.3f} ms measured, {latency.predicted_ms:.3f} ms "
        f"predicted ({latency.low_ms:.3f} to {latency.high_ms:.3f})\n"
        f"  parity    {manifest.parity.relative_error:.1e} relative error against "
        f"{manifest.parity.reference} on {manifest.parity.images} images\n"
        f"  distance  {distance.engine:.4f} of the engine, {distance.searched:.4f} as searched, "
        f"{distance.float_net:.4f} of the float network",
        highlight=False,
    )
