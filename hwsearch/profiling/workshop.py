"""Where models become engines: exported once, built once, found again by content."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.measurement import Job
from hwsearch.profiling.models import Model
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Portable

_DONE = "built.json"


@dataclass(frozen=True)
class Built:
    """An engine in the workshop.

    Attributes:
        engine: Its main file.
        engine_sha256: Hash of the main file.
        size_bytes: Size of all its files.
        onnx_sha256: Hash of the ONNX file it was built from.
    """

    engine: Path
    engine_sha256: str
    size_bytes: int
    onnx_sha256: str

    def job(self, model: Model) -> Job:
        """Returns the measuring job; whole networks go first where time is short."""
        return Job(model.job, self.engine, self.size_bytes, essential=model.kind == "network")


@dataclass(frozen=True)
class Workshop:
    """A folder of ONNX files, shared by all runtimes, and of engines.

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
        engines = {}
        for model in models:
            engines[model.job] = self.build(self._export(model))
            advance(note=model.kind)
        return engines

    def build(self, onnx: Path) -> Built:
        """Builds the engine of an ONNX file, or finds it built."""
        runtime, digest = get_runtime(self.runtime), sha256_of(onnx)
        folder = self.folder / f"{self.runtime}-{runtime.version}-{self.precision}" / digest[:16]
        note = folder / _DONE
        if not note.exists():
            shutil.rmtree(folder, ignore_errors=True)
            engine = runtime.build(Portable(onnx), folder, BuildOptions(self.precision))
            size = sum(path.stat().st_size for path in runtime.files(engine))
            built = Built(engine, sha256_of(engine), size, digest)
            write_atomic(note, json.dumps(asdict(built) | {"engine": engine.name}))
        values = json.loads(note.read_text())
        return Built(**{**values, "engine": folder / values["engine"]})

    def _export(self, model: Model) -> Path:
        """Writes the ONNX file of a model unless it is there; its name tells what it is of."""
        text = "\n".join(
            (model.kind, str(self.batch), *(f"{block.key}{block.inputs}" for block in model.blocks))
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = self.folder / "onnx" / f"{digest[:16]}.onnx"
        if not path.exists():
            _export(model, path, self.batch)
        return path


def _export(model: Model, path: Path, batch: int) -> None:
    import torch

    from hwsearch.export.onnx import export_block, export_network, seeded_network

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, exporting tiny nets took eight times as long
    try:
        if model.kind == "block":
            export_block(model.blocks[0], path, batch=batch)
        else:
            shape = model.blocks[0].in_shape
            export_network(seeded_network(model.blocks), shape, path, batch=batch)
    except OSError as cause:
        raise HwsearchError(
            f"cannot write: {cause.strerror}",
            where=path,
            fix="Free some space or use another --out",
        ) from cause
    finally:
        torch.set_num_threads(threads)
