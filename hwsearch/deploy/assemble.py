"""Assembles the folder of one engine: its files, and the manifest that describes them."""

import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from msgspec.structs import replace

from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.dense import DenseHead
from hwsearch.deploy.expected import expected_latency
from hwsearch.deploy.judged import Judged, judge
from hwsearch.deploy.manifest import (
    SCHEMA,
    Classifier,
    Dense,
    Distance,
    Latency,
    Manifest,
)
from hwsearch.deploy.originals import (
    Calls,
    Original,
    calibration_feeds,
    open_original,
)
from hwsearch.deploy.readme import write_readme
from hwsearch.deploy.verify import check_distance, check_parity
from hwsearch.device import fingerprint
from hwsearch.distance import CatalogueStudents, TargetImages
from hwsearch.distance.base import DeliveredDistance
from hwsearch.distance.kinds import Compared
from hwsearch.errors import HwsearchError
from hwsearch.export.append import append_graph
from hwsearch.export.precision import converter_versions, in_precision
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table, require_this_device
from hwsearch.nn import StaticNet
from hwsearch.profiling.remeasure import Measured, remeasure
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Engine, Form, LoadOptions, Portable
from hwsearch.runtime.half_range import needs_half_range
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
        fix=f"Deliver from a search with --distance auto, {', '.join(get_args(Compared))}",
    )


@dataclass(frozen=True, eq=False)
class Assembler:
    """Extracts and calibrates, or copies, then builds, checks and measures networks.

    Attributes:
        folder: Holds the files of the last one.
        inputs: Of the search that they are from.
        distance: To the teacher.
        seconds: Most time for measuring an engine's latency.
        head: Makes a network tell classes, boxes or pixels, if it is to.
        calls: How engines are to be called.
    """

    folder: Path
    inputs: SearchInputs
    distance: DeliveredDistance
    seconds: float
    head: ClassifierHead | DenseHead | None = None
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        ready = isinstance(self.inputs.students, CatalogueStudents)
        if self.head is None:
            return
        if ready:
            raise HwsearchError("ready models take no head", fix="Leave --labelled out")
        if self.distance.of_maps != isinstance(self.head, DenseHead):
            raise HwsearchError(
                f"a head for {'embeddings' if self.distance.of_maps else 'feature maps'} does not "
                f"fit '{self.inputs.distance_name}', which the networks are judged by",
                fix="Leave --labelled out, or --distance",
            )

    def _finish(self, net: StaticNet) -> StaticNet:
        if self.distance.of_maps:
            return net.showing_maps()
        return self.head.on(net) if isinstance(self.head, ClassifierHead) else net

    @contextmanager
    def open(self, point: FrontPoint, form: Form) -> Iterator[Original]:
        """Writes a network's files into the folder, emptied before.

        Args:
            point: Which network.
            form: What the engine will be built from.
        """
        table = self.inputs.table(point.table)
        self.calls.check(table.runtime)
        if isinstance(self.head, DenseHead) and form != "onnx":
            raise HwsearchError(
                f"--labelled for {self.head.task} is not for {table.runtime}",
                fix="Leave it out, or take a table of a runtime that builds from ONNX files",
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with open_original(
            self.folder,
            point.subnet,
            self.inputs.students,
            finish=self._finish,
            batch=table.batch,
            form=form,
            precision=table.precision,
            calls=self.calls,
        ) as original:
            head = self.head if isinstance(self.head, DenseHead) else None
            yield head.beside(original, self.folder) if head else original

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
                judged = self.judge(point, loaded, original, table.precision)
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
            half_range=needs_half_range(table.runtime, table.header.fingerprint),
        )
        for path in {original.model.onnx, model.onnx}:
            if path is not None:
                if original.head is not None:
                    append_graph(path, original.head)
                self.calls.write(path, original.takes)
        return model

    def judge(
        self, point: FrontPoint, engine: Engine, original: Original, precision: str
    ) -> Judged:
        """Compares a loaded engine with the network on all target images.

        Args:
            point: Which network.
            engine: The engine.
            original: The network.
            precision: Numbers that the engine computes in.
        """
        distance = self.distance.for_network(point.subnet)
        judged = judge(engine, original, self.images, distance, precision)
        return judged if self.head is None else judged.told_by(self.head, engine, original)

    def described(self, point: FrontPoint, original: Original, judged: Judged) -> Manifest:
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
            latency=expected_latency(self.inputs, point, with_head=self.head is not None),
            parity=judged.parity,
            distance=Distance(
                searched=point.distance,
                float_net=judged.before,
                engine=judged.after,
                images=judged.parity.images,
                images_fingerprint=self.images.fingerprint,
                weights=original.weights,
            ),
            classifier=judged.told if isinstance(judged.told, Classifier) else None,
            dense=judged.told if isinstance(judged.told, Dense) else None,
            checkpoint=original.fingerprint,
            device={},
            versions=_versions(table.runtime, table.precision),
            created="",
            files={},
        )


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


def _versions(runtime: str, precision: str) -> dict[str, str]:
    packages = ("hwsearch", "torch", "onnx", "numpy")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        **converter_versions(runtime, precision),
    }
