"""PyTorch: exported programs, on the CPU or in a CUDA graph."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from torch.export.passes import move_to_device_pass

from hwsearch.runtime.base import (
    BuildOptions,
    Form,
    LoadOptions,
    Portable,
    check_precision,
    readable,
)
from hwsearch.runtime.torch_engine import (
    CpuEngine,
    CudaEngine,
    device_for,
    keeping_threads,
)
from hwsearch.runtime.torch_program import border_of, call_of, read_program, require_precision


class Torch:
    """Loads exported programs operator by operator; a GPU is used if there is one.

    The precision is that of the weights inside the program; input and output are float32.
    """

    name: str = "torch"
    precisions: tuple[str, ...] = ("fp32", "bf16", "fp16")
    takes: Form = "program"
    slow_build: bool = False

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return version("torch")

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Checks the program and copies it to `out`/engine.pt2."""
        check_precision(self, options.precision)
        device_for(options.precision)
        source = model.file(self.takes)
        with readable(source, self, "exported program"):
            require_precision(read_program(source), options.precision, source)
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, out / "engine.pt2"))

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator[CpuEngine | CudaEngine]:
        """Loads a program; `options.threads` is the whole process's number until the end."""
        check_precision(self, options.precision)
        device = device_for(options.precision)
        with readable(engine, self, "engine"):
            program = read_program(engine)
            require_precision(program, options.precision, engine)
            if device.type != "cpu":
                program = move_to_device_pass(program, device)
            border, call = border_of(program, engine), call_of(program, device)
            on_gpu = device.type == "cuda"
            loaded = (
                CudaEngine(call, border) if on_gpu else CpuEngine(call, border, options.threads)
            )
        with keeping_threads():
            yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is one file."""
        return (engine,)
