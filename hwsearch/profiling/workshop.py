"""Where models become engines: exported once, built once, found again by content."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.kinds.cost import NUMBER_BYTES, total_weights
from hwsearch.kit.engines import Built, Engines
from hwsearch.measurement import Job
from hwsearch.profiling.models import Model
from hwsearch.profiling.parallel import build_at_once
from hwsearch.runtime import form_of, get_runtime
from hwsearch.runtime.base import Portable

COPIES = 2
"""A model lies on the disk as what was exported and as the engine."""


def job_of(model: Model, built: Built) -> Job:
    """Returns the measuring job of a model; whole networks go first where time is short."""
    return Job(model.job, built.engine, built.size_bytes, essential=model.kind == "network")


@dataclass(frozen=True)
class Workshop:
    """A folder of ONNX files and exported programs, shared by runtimes, and of engines.

    Attributes:
        folder: Safe to delete: it is filled again.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        batch: Images a call.
    """

    folder: Path
    runtime: str
    precision: str
    batch: int

    def build_all(self, models: Sequence[Model], advance: Callable[..., None]) -> dict[str, Built]:
        """Exports and builds what is not there yet; returns engines by `Model.job`."""
        if get_runtime(self.runtime).slow_build:
            files = {model.job: self.export(model) for model in models}
            return build_at_once(self._engines, files, advance)
        engines = {}
        for model in models:
            engines[model.job] = self.build(self.export(model))
            advance(note=model.kind)
        return engines

    def require_space(self, models: Sequence[Model]) -> None:
        """Refuses models that the disk has no room for, before the first is exported.

        Raises:
            HwsearchError: If there is less free than what they take and the folder lacks.
        """
        here = sum(map(_size_bytes, self.folder.rglob("*")))
        needed = COPIES * sum(map(_weight_bytes, models)) - here
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise HwsearchError(
                f"{len(models)} engines need about {needed / 1e9:.1f} GB more, "
                f"and {free / 1e9:.1f} GB are free",
                where=self.folder,
                fix="Free some space, use another --out, or ask for fewer networks with "
                "--evidence and --heldout",
            )

    def build(self, path: Path) -> Built:
        """Builds the engine of a file as `export` writes them, or finds it built."""
        return self._engines.build_file(path)

    @property
    def _engines(self) -> Engines:
        return Engines(self.folder, self.runtime, self.precision)

    def export(self, model: Model) -> Path:
        """Writes the file that a model's engine is built from, unless it is there.

        A kit holds such files: all that happens before engines are built happens here.

        Raises:
            HwsearchError: If the runtime takes exported programs and the model is a ready one.
        """
        exported, form = self._export(model), form_of(self.runtime)
        if form == "program":
            return exported.file(form)
        from hwsearch.export.precision import converter_versions, in_precision
        from hwsearch.export.quantise import seeded_feeds

        versions = converter_versions(self.runtime, self.precision)
        kind = "-".join((self.runtime, self.precision, *versions, *versions.values()))
        digest = sha256_of(exported.file("onnx"))
        out = self.folder / "onnx" / kind / f"{digest[:16]}.onnx"
        if out.exists():
            return out
        return in_precision(
            exported,
            out,
            runtime=self.runtime,
            precision=self.precision,
            feeds=lambda: seeded_feeds(exported),
        ).file("onnx")

    def _export(self, model: Model) -> Portable:
        """Writes a model in float32, or as a program; the file's name tells what it is of."""
        if model.ready:
            from hwsearch.export.single import single_file

            name = f"{model.ready.sha256[:16]}.onnx"
            return Portable(onnx=single_file(model.ready, self.folder / "onnx" / name))
        text = "\n".join(
            (model.kind, str(self.batch), *(f"{block.key}{block.inputs}" for block in model.blocks))
        )
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        if form_of(self.runtime) == "onnx":
            path = self.folder / "onnx" / f"{name}.onnx"
            return _once(path, partial(_write_onnx, model, path, self.batch))
        folder = self.folder / "programs" / f"torch-{version('torch')}-{self.precision}"
        path = folder / f"{name}.pt2"
        return _once(path, partial(_write_program, model, path, self.batch, self.precision))


def _size_bytes(path: Path) -> int:
    """Returns the size of a file, 0 of a folder and of what another run has just removed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _weight_bytes(model: Model) -> int:
    """Returns what the weights of a model take in float32."""
    if model.ready:
        return model.ready.path.stat().st_size
    return NUMBER_BYTES["fp32"] * total_weights(model.blocks)


def _once(path: Path, write: Callable[[], Portable]) -> Portable:
    """Writes a file unless it is there."""
    if path.exists():
        return Portable(onnx=path) if path.suffix == ".onnx" else Portable(program=path)
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, exporting tiny nets took eight times as long
    try:
        return write()
    except OSError as cause:
        raise HwsearchError(
            f"cannot write: {cause.strerror}",
            where=path,
            fix="Free some space or use another --out",
        ) from cause
    finally:
        torch.set_num_threads(threads)


def _write_onnx(model: Model, path: Path, batch: int) -> Portable:
    from hwsearch.export.onnx import export_block, export_network, seeded_network

    if model.kind == "block":
        return export_block(model.blocks[0], path, batch=batch)
    return export_network(seeded_network(model.blocks), path, batch=batch)


def _write_program(model: Model, path: Path, batch: int, precision: str) -> Portable:
    from hwsearch.export.onnx import seeded_network
    from hwsearch.export.program import export_block_program, export_network_program

    if model.kind == "block":
        return export_block_program(model.blocks[0], path, batch=batch, precision=precision)
    net = seeded_network(model.blocks)
    return export_network_program(net, path, batch=batch, precision=precision)
