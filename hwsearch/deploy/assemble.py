"""Assembles the folder of one engine: its files, and the manifest that describes them."""

import platform
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.manifest import SCHEMA, Classifier, Distance, Latency, Manifest, Parity
from hwsearch.deploy.originals import (
    Calls,
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
from hwsearch.profiling.remeasure import Measured, remeasure
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Engine, Form, LoadOptions, Portable
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
        calls: How engines are to be called.
    """

    folder: Path
    inputs: SearchInputs
    distance: DeliveredDistance
    seconds: float
    head: ClassifierHead | None = None
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        ready = isinstance(self.inputs.students, CatalogueStudents)
        if self.head is not None and (ready or self.distance.of_maps):
            what = "ready models" if ready else "engines that give feature maps"
            raise HwsearchError(f"{what} take no classifier", fix="Leave --labelled out")

    def _finish(self, net: StaticNet) -> StaticNet:
        if self.distance.of_maps:
            return net.showing_maps()
        return net if self.head is None else self.head.on(net)

    def open(self, point: FrontPoint, form: Form) -> AbstractContextManager[Original]:
        """Writes a network's files into the folder, emptied before.

        Args:
            point: Which network.
            form: What the engine will be built from.
        """
        table = self.inputs.table(point.table)
        self.calls.check(table.runtime)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return open_original(
            self.folder,
            point.subnet,
            self.inputs.students,
            finish=self._finish,
            batch=table.batch,
            form=form,
            precision=table.precision,
            calls=self.calls,
        )

    def __call__(self, point: FrontPoint) -> Manifest:
        """Writes the engine's files into an empty folder; returns the manifest that describes them.

        Raises:
            HwsearchError: If the table is of another device, the engine cannot be built, or its
                outputs differ from the network's.
        """
        built, table = self.build(point), self.inputs.table(point.table)
        return self.finish(built, built.measured(table, self.seconds))

    def build(self, point: FrontPoint) -> "Built":
        """Builds an engine in an empty folder, and checks what it computes.

        Raises:
            HwsearchError: As a call does.
        """
        table, folder = self.inputs.table(point.table), self.folder
        require_this_device(table)
        runtime = get_runtime(table.runtime)
        with self.open(point, runtime.takes) as original:
            model = self.in_precision(original, table)
            engine = runtime.build(model, folder, BuildOptions(precision=table.precision))
            options = LoadOptions(table.threads, table.precision, batch=table.batch)
            with runtime.load(engine, options) as loaded:
                judged = self.judge(loaded, original, table.precision)
            check_parity(judged.parity, table.precision, table.runtime)
            check_distance(judged.after, judged.before, table.precision, table.runtime)
        known = self.described(point, original, judged)
        versions = {**known.versions, table.runtime: runtime.version}
        known = replace(known, provider=loaded.provider, engine=engine.name, versions=versions)
        return Built(engine, known)

    def finish(self, built: "Built", measured: Measured) -> Manifest:
        """Returns the manifest of an engine that was measured, once its README is written."""
        known, folder = built.known, self.folder
        manifest = replace(
            known,
            latency=built.latency(measured),
            device=fingerprint(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_readme(folder, manifest)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        return replace(manifest, files=files)

    @property
    def images(self) -> TargetImages:
        """Images of the target domain."""
        return self.inputs.students.images

    def in_precision(self, original: Original, table: Table) -> Portable:
        """Writes what an engine is built from, quantised on the target images for int8."""
        plain = replace(original.takes, raw=False)
        model = in_precision(
            original.model,
            self.folder / f"model_{table.precision}.onnx",
            runtime=table.runtime,
            precision=table.precision,
            feeds=lambda: calibration_feeds(plain, self.images),
        )
        for path in {original.model.onnx, model.onnx}:
            if path is not None:
                self.calls.write(path, original.takes)
        return model

    def judge(self, engine: Engine, original: Original, precision: str) -> "Judged":
        """Compares a loaded engine with the network on all target images.

        Args:
            engine: The engine.
            original: The network.
            precision: Numbers that the engine computes in.
        """
        meter = ParityMeter([output.name for output in original.gives])
        after = self.distance.of_outputs(_compared(engine, original, self.images, meter))
        classifier = self._judged(engine, original)
        inputs = inputs_of(original.takes, self.images)
        before = self.distance.of_outputs(map(original.run, inputs))
        return Judged(meter.result(original.reference, precision), after, before, classifier)

    def described(self, point: FrontPoint, original: Original, judged: "Judged") -> Manifest:
        """Returns what a manifest says before the engine was measured on its device."""
        table = self.inputs.table(point.table)
        network = network_of(self.inputs.space, point.subnet)
        return Manifest(
            schema=SCHEMA,
            space=network.space,
            subnet=network.as_dict(),
            table=point.table,
            runtime=table.runtime,
            provider="",
            precision=table.precision,
            threads=table.threads,
            engine="",
            input=original.takes,
            outputs=original.gives,
            latency=Latency(point.latency_ms, point.low_ms, point.high_ms, 0.0, 0.0, (), None),
            parity=judged.parity,
            distance=Distance(
                searched=point.distance,
                float_net=judged.before,
                engine=judged.after,
                images=judged.parity.images,
                images_fingerprint=self.images.fingerprint,
                weights=original.weights,
            ),
            classifier=judged.classifier,
            checkpoint=original.fingerprint,
            device={},
            versions=_versions(table.runtime, table.precision),
            created="",
            files={},
        )

    def _judged(self, engine: Engine, original: Original) -> Classifier | None:
        if self.head is None:
            return None
        run = partial(outputs_of, engine, original.takes, original.gives)
        return self.head.judge(run, original.takes)


@dataclass(frozen=True)
class Built:
    """An engine that computes what its network does, before it is measured.

    Attributes:
        engine: Its main file.
        known: What its manifest says so far.
    """

    engine: Path
    known: Manifest

    def latency(self, measured: Measured) -> Latency:
        """Returns what its manifest says of its latency."""
        return replace(
            self.known.latency,
            measured_ms=measured.latency_ms,
            measured_stderr_rel=measured.stderr_rel,
            flags=measured.flags,
        )

    def measured(self, table: Table, seconds: float) -> Measured:
        """Measures it alone, on the scale of its table."""
        return remeasure({"engine": self.engine}, table, budget_seconds=seconds)["engine"]


@dataclass(frozen=True)
class Judged:
    """What the outputs of an engine say.

    Attributes:
        parity: Against the float network.
        after: Its distance to the teacher.
        before: The float network's.
        classifier: What it tells classes by, if it does.
    """

    parity: Parity
    after: float
    before: float
    classifier: Classifier | None


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
        **converter_versions(runtime, precision),
    }
