"""AOTInductor: exported programs compiled to native code of the CPU."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch.export import ExportedProgram

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import (
    BuildOptions,
    Form,
    LoadOptions,
    Portable,
    TensorSpec,
    check_precision,
    readable,
)
from hwsearch.runtime.torch_engine import CpuEngine, device_for, keeping_threads
from hwsearch.runtime.torch_program import Border, border_of, read_program, require_precision

_NOTE = "hwsearch"
_CACHE = "TORCHINDUCTOR_CACHE_DIR"


class TorchAoti:
    """Builds and loads AOTInductor packages: native code for the machine that builds them."""

    name: str = "torch-aoti"
    precisions: tuple[str, ...] = ("fp32", "bf16", "fp16")
    takes: Form = "program"
    slow_build: bool = True

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return version("torch")

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Compiles the program into `out`/engine.pt2.

        Raises:
            HwsearchError: Also if there is no C++ compiler, or there is a GPU.
        """
        check_precision(self, options.precision)
        _require_cpu(options.precision)
        source = model.file(self.takes)
        _require_compiler()
        with readable(source, self, "exported program"):
            program = read_program(source)
            require_precision(program, options.precision, source)
            border = border_of(program, source)
            out.mkdir(parents=True, exist_ok=True)
            note = {"precision": options.precision, **asdict(border)}
            with _compilers_cache(options.cache):
                return _compile(program, out / "engine.pt2", options.precision, json.dumps(note))

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator[CpuEngine]:
        """Loads a package; `options.threads` is the whole process's number until the end."""
        check_precision(self, options.precision)
        _require_cpu(options.precision)
        with readable(engine, self, "engine"):
            package = aoti_load_package(str(engine), run_single_threaded=True)
            note = json.loads(package.get_metadata()[_NOTE])
            _check(note, options.precision, engine)
            run = package.loader.boxed_run  # calling the package itself reads JSON every time
            loaded = CpuEngine(lambda *inputs: run(list(inputs)), _border(note), options.threads)
        with keeping_threads():
            yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is one file."""
        return (engine,)


def _require_cpu(precision: str) -> None:
    if device_for(precision).type != "cpu":
        raise HwsearchError(
            "torch-aoti computes on CPUs only: loading its engines of a GPU ended the process "
            "(torch 2.11, H200)",
            fix="Use --runtime torch, or hide the GPU with CUDA_VISIBLE_DEVICES=",
        )


def _require_compiler() -> None:
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as cause:
        raise HwsearchError(
            "torch-aoti needs a C++ compiler and finds none",
            fix="Install g++, or name yours in the environment variable CXX",
        ) from cause


@contextmanager
def _compilers_cache(folder: Path | None) -> Iterator[None]:
    """Has the compiler keep headers and what it learns of the processor in a folder, if given."""
    before = os.environ.get(_CACHE)
    if folder:
        os.environ[_CACHE] = str(folder / "inductor")
    try:
        yield
    finally:
        if before is not None:
            os.environ[_CACHE] = before
        elif folder:
            del os.environ[_CACHE]


def _compile(program: ExportedProgram, engine: Path, precision: str, note: str) -> Path:
    """Compiles for any number of threads, for it takes seconds."""
    settings: dict[str, Any] = {
        "cpp.dynamic_threads": True,
        # Constant weights made bf16 networks 1.4 to 1.8 times faster, fp32 ones 1.2 to 1.6
        # times slower (Zen 4, one thread, batch 1).
        "freezing": precision != "fp32",
        "aot_inductor.metadata": {_NOTE: note},
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it uses itself
        aoti_compile_and_package(program, package_path=str(engine), inductor_configs=settings)
    return engine


def _check(note: dict[str, Any], precision: str, engine: Path) -> None:
    if note["precision"] != precision:
        raise HwsearchError(
            f"this engine computes in {note['precision']}, not in {precision}",
            where=engine,
            fix="Build it again in the precision asked for",
        )


def _border(note: dict[str, Any]) -> Border:
    takes = (TensorSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in note["takes"])
    return Border(tuple(takes), tuple(map(tuple, note["strides"])), tuple(note["gives"]))
