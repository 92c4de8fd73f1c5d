"""How TensorRT builds an engine, by this package and by trtexec."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TensorRtSettings:
    """What is pinned so that two builds on one device can be compared.

    Attributes:
        optimisation_level: How hard the builder searches, 0 to 5; TensorRT's own default is 3.
        workspace_mib: Most device memory that one layer may use for itself while it runs.
        version_compatible: Whether the engine also runs with later versions of TensorRT. It
            then carries host code, may be slower, and is loaded only if its origin is trusted.
        hardware_compatibility: Name of TensorRT's level: with "NONE" the engine runs on the
            kind of GPU it was built on.
    """

    optimisation_level: int = 3
    workspace_mib: int = 1024
    version_compatible: bool = False
    hardware_compatibility: str = "NONE"


DEFAULT_SETTINGS = TensorRtSettings()


def allows_tf32(precision: str) -> bool:
    """Says whether float32 layers may round to 10 bits; never in an engine that says fp32."""
    return precision != "fp32"


def trtexec_line(onnx: Path | str, precision: str, engine: Path | str) -> str:
    """Writes the command that builds the same engine with trtexec and times it.

    It works with TensorRT 10 and 11 (which ignores --stronglyTyped). An engine that trtexec
    wrote has no note beside it, so it is for comparison: `load` refuses it.

    Args:
        onnx: A file whose graph computes in `precision` already.
        precision: Numbers that the engine computes in.
        engine: The file to write.
    """
    settings = DEFAULT_SETTINGS
    words = [
        "trtexec",
        f"--onnx={onnx}",
        f"--saveEngine={engine}",
        "--stronglyTyped",
        *([] if allows_tf32(precision) else ["--noTF32"]),
        f"--builderOptimizationLevel={settings.optimisation_level}",
        f"--memPoolSize=workspace:{settings.workspace_mib}",
        "--profilingVerbosity=detailed",
        "--noDataTransfers",
        "--useSpinWait",
        "--warmUp=200",
    ]
    return shlex.join(words)
