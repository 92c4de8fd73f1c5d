"""Tiny shared libraries that stand in for CUDA's and TensorRT's, compiled for a test."""

import shutil
import subprocess
from pathlib import Path

import pytest

CUDART_SOURCE = Path(__file__).with_name("stub_cudart.c")

TENSORRT_SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "getNvOnnxParserVersion",
)
"""What TensorRT's bindings look for when they are imported."""


def compile_cudart(folder: Path) -> Path:
    """Builds the stub of the CUDA runtime under its newest name."""
    return _compile(CUDART_SOURCE, folder / "libcudart.so.13")


def compile_tensorrt(folder: Path, major: int) -> None:
    """Builds libraries that export what the bindings of a major version look for, and no more."""
    source = folder / "tensorrt.c"
    source.write_text("".join(f"void *{name}() {{ return 0; }}\n" for name in TENSORRT_SYMBOLS))
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        _compile(source, folder / f"lib{name}.so.{major}")


def _compile(source: Path, library: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler builds the stub library")
    options = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", "-o", str(library)]
    subprocess.run([compiler, *options, str(source)], check=True)
    return library
