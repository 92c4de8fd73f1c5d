"""Assembles the folder of one engine: its files, and the manifest that describes them."""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.manifest import SCHEMA, Classifier, Distance, Latency, Manifest
from hwsearch.deploy.originals import (
    Original,
    calibration_feeds,
    inputs_of,
    open_original,
    outputs_of,
)
from hwsearch.deploy.readme import write_readme
from hwsearch.deploy.verify import ParityMeter, check_distance, check_parity
from hwsearch.device import fingerprint
from hwsearch.distance import CatalogueStudents, TargetImages
from hwsearch.distance.base import DeliveredDistance, Outputs
from hwsearch.errors import HwsearchError
from hwsearch.export.precision import converter_versions, in_precision
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table, require_this_device
from hwsearch.nn import StaticNet
from hwsearch.profiling.remeasure import remeasure
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Engine, LoadOptions
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import SearchInputs
from hwsearch.spaces.precisions import network_of


def engine_distance(inputs: SearchInputs) -> DeliveredDistance:
    """Returns the distance of the search, which an engine's own outputs must be able to have.

    Raises:
        HwsearchError: If they cannot.
    """
    distance = inputs.distance()
    if isinstance(distance, DeliveredDistance):
        return distance
    raise HwsearchError(
        f"what an engine gives cannot be judged by '{inputs.distance_name}', which this search has "
        "instead of a distance",
        where=inputs.options.out,
        fix="Deliver from a search with --distance auto, projection, relation, queue or dense",
    )


@dataclass(frozen=True, eq=False)
class Assembler:
    """Extracts and calibrates, or copies, then builds, checks and measures networks.

    Attributes:
        folder: Holds the files of the last one.
        inputs: Of the search that they are from.
        distance: To the teacher.
        seconds: Most time for measuring an engine's latency.
        head: Makes a network tell classes, if it is to.
    """

    folder: Path
    inputs: SearchInputs
    distance: DeliveredDistance
    seconds: float
    head: ClassifierHead | None = None

    def __post_init__(self) -> None:
        ready = isinstance(self.inputs.students, CatalogueStudents)
        if self.head is not None and (ready or self.distance.of_maps):
            what = "ready models" if ready else "engines that give feature maps"
            raise HwsearchError(f"{what} take no classifier", fix="Leave --labelled out")

    def _finish(self, net: StaticNet) -> StaticNet:
        if self.distance.of_maps:
            return net.showing_maps()
        return net if self.head is None else self.head.on(net)

    def __call__(self, point: FrontPoint) -> Manifest:
        """Writes the engine's files into an empty folder; returns the manifest that describes them.

        Raises:
            HwsearchError: If the table is of another device, the engine cannot be built, or its
                outputs differ from the network's.
        """
        table, folder, distance = self.inputs.table(point.table), self.folder, self.distance
        require_this_device(table)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        students, network = self.inputs.students, network_of(self.inputs.space, point.subnet)
        with open_original(
            folder,
            point.subnet,
            students,
            finish=self._finish,
            batch=table.batch,
            form=get_runtime(table.runtime).takes,
            precision=table.precision,
        ) as original:
            engine = _engine(folder, original, table, students.images)
            meter = ParityMeter([output.name for output in original.gives])
            options = LoadOptions(threads=table.threads, precision=table.precision)
            with get_runtime(table.runtime).load(engine, options) as loaded:
                provider = loaded.provider
                after = distance.of_outputs(_compared(loaded, original, students.images, meter))
                classifier = self._judged(loaded, original)
            parity = meter.result(original.reference, table.precision)
            check_parity(parity, table.precision, table.runtime)
            inputs = inputs_of(original.takes, students.images)
            before = distance.of_outputs(map(original.run, inputs))
        check_distance(after, before, table.precision, table.runtime)
        measured = remeasure({"engine": engine}, table, budget_seconds=self.seconds)["engine"]
        manifest = Manifest(
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
            outputs=original.gives,
            latency=Latency(
                predicted_ms=point.latency_ms,
                low_ms=point.low_ms,
                high_ms=point.high_ms,
                measured_ms=measured.latency_ms,
                measured_stderr_rel=measured.stderr_rel,
                flags=measured.flags,
                limit_ms=None,
            ),
            parity=parity,
            distance=Distance(
                searched=point.distance,
                float_net=before,
                engine=after,
                images=parity.images,
                images_fingerprint=students.images.fingerprint,
                weights=original.weights,
            ),
            classifier=classifier,
            checkpoint=original.fingerprint,
            device=fingerprint(),
            versions=_versions(table.runtime, table.precision),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            files={},
        )
        write_readme(folder, manifest)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        return replace(manifest, files=files)

    def _judged(self, engine: Engine, original: Original) -> Classifier | None:
        if self.head is None:
            return None
        run = partial(outputs_of, engine, original.takes, original.gives)
        return self.head.judge(run, original.takes)


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


def _compared(
    engine: Engine, original: Original, images: TargetImages, meter: ParityMeter
) -> Iterator[Outputs]:
    """Yields an engine's outputs for the target images, compared with the network's on the way."""
    for inputs_NCHW in inputs_of(original.takes, images):
        given = outputs_of(engine, original.takes, original.gives, inputs_NCHW)
        meter.add(given, original.run(inputs_NCHW))
        yield given


def _versions(runtime: str, precision: str) -> dict[str, str]:
    packages = ("hwsearch", "torch", "onnx", "numpy")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        runtime: get_runtime(runtime).version,
        **converter_versions(runtime, precision),
    }
