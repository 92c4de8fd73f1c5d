"""The note beside a TensorRT engine: what it is, and where it can run."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from hwsearch.errors import HwsearchError
from hwsearch.runtime.cudart import Gpu
from hwsearch.runtime.tensorrt_settings import TensorRtSettings

SCHEMA = 1
_AMPERE = (8, 0)
_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)

T = TypeVar("T")


@dataclass(frozen=True)
class EngineNote:
    """What was true when an engine was built.

    Attributes:
        precision: Numbers that it computes in.
        tensorrt: Version of TensorRT.
        device: Name of the GPU.
        compute_capability: Of the GPU, such as "8.7".
        driver_cuda: Newest CUDA version that the driver supported.
        runtime_cuda: Version of the CUDA runtime library.
        settings: How it was built.
        timing_cache: Name of the timing cache file that the build read and extended, if any.
        schema: Version of this format.
    """

    precision: str
    tensorrt: str
    device: str
    compute_capability: str
    driver_cuda: str
    runtime_cuda: str
    settings: TensorRtSettings
    timing_cache: str = ""
    schema: int = SCHEMA

    def as_json(self) -> str:
        """Writes the note."""
        return json.dumps(asdict(self), indent=1) + "\n"


def note_path(engine: Path) -> Path:
    """Returns where the note of an engine lies."""
    return engine.with_suffix(".json")


def read_note(engine: Path) -> EngineNote:
    """Reads the note beside an engine.

    Raises:
        HwsearchError: If it is missing, damaged or of another format.
    """
    path = note_path(engine)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        settings = _checked(TensorRtSettings(**values.pop("settings")))
        note = _checked(EngineNote(**values, settings=settings))
    except _DAMAGED as cause:
        raise HwsearchError(
            f"the engine has no readable note beside it ({cause})",
            where=path,
            fix="Build the engine again on this device",
        ) from cause
    if note.schema != SCHEMA:
        raise HwsearchError(f"the note's format is {note.schema}, not {SCHEMA}", where=path)
    return note


def _checked(value: T) -> T:
    for field in fields(value):  # pyright: ignore[reportArgumentType]
        if type(getattr(value, field.name)) is not field.type:
            raise TypeError(f"{field.name} is of another type")
    return value


def check_runs_here(note: EngineNote, engine: Path, *, version: str, gpu: Gpu) -> None:
    """Refuses an engine that this version of TensorRT or this GPU cannot run.

    Without compatibility flags an engine runs only with the version of TensorRT that built it,
    on the kind of GPU it was built on (TensorRT's manual, "Engine Compatibility").

    Args:
        note: The engine's note.
        engine: The engine file, for the message.
        version: Version of TensorRT here.
        gpu: The GPU here.

    Raises:
        HwsearchError: Names both sides.
    """
    there = f"TensorRT {note.tensorrt} on {note.device}, compute capability "
    there += note.compute_capability
    here = f"TensorRT {version} on {gpu.name}, compute capability {_joined(gpu)}"
    if not (_version_fits(note, version) and _gpu_fits(note, gpu)):
        raise HwsearchError(
            f"the engine was built by {there}; this is {here}",
            where=engine,
            fix="Build it on this device from its model.onnx",
        )


def _version_fits(note: EngineNote, version: str) -> bool:
    later = _numbers(version) >= _numbers(note.tensorrt)
    return version == note.tensorrt or (note.settings.version_compatible and later)


def _gpu_fits(note: EngineNote, gpu: Gpu) -> bool:
    match note.settings.hardware_compatibility:
        case "AMPERE_PLUS":
            return gpu.compute_capability >= _AMPERE
        case "SAME_COMPUTE_CAPABILITY":
            return _joined(gpu) == note.compute_capability
        case _:
            return (gpu.name, _joined(gpu)) == (note.device, note.compute_capability)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _joined(gpu: Gpu) -> str:
    return ".".join(str(number) for number in gpu.compute_capability)
