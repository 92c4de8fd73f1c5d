"""ONNX Runtime with an execution provider other than the CPU's."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import (
    WARMUP_SECONDS,
    BuildOptions,
    Form,
    LoadOptions,
    Portable,
    check_precision,
    readable,
)
from hwsearch.runtime.onnx_nodes import graph_precision
from hwsearch.runtime.onnxruntime import OnnxRuntimeEngine
from hwsearch.runtime.onnxruntime_providers import PROVIDERS
from hwsearch.runtime.onnxruntime_session import is_plugin, open_session, require_provider


class OnnxRuntimeOther:
    """Builds and loads engines of one execution provider.

    An engine is the graph that the provider compiled, or where it compiles at load only, the
    ONNX file. The numbers are the graph's: float16 weights for fp16, Q/DQ pairs for int8.

    Args:
        name: Registered name, a key of `PROVIDERS`.

    Raises:
        HwsearchError: If the installed package has no such provider.
    """

    takes: Form = "onnx"
    slow_build: bool = False

    def __init__(self, name: str) -> None:
        self.name, self._provider = name, PROVIDERS[name]
        self.precisions = self._provider.precisions
        require_provider(self._provider)

    @property
    def version(self) -> str:
        """Versions of the installed package and of the plugin if the provider comes as one."""
        plugin = f"+{version(self._provider.plugin)}" if is_plugin(self._provider) else ""
        return onnxruntime.__version__ + plugin

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Compiles the graph into `out`/engine.onnx, or copies it there."""
        check_precision(self, options.precision)
        out.mkdir(parents=True, exist_ok=True)
        engine, source = out / "engine.onnx", model.file(self.takes)
        with readable(source, self, "ONNX file"):
            _require_precision(source, options.precision)
            compiled = engine if self._provider.compiles else None
            loading = LoadOptions(precision=options.precision)
            open_session(source, self._provider, loading, compiled=compiled)
            if not compiled:
                shutil.copyfile(source, engine)
        return engine

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator[OnnxRuntimeEngine]:
        """Loads an engine file; what is no CPU is warmed up, and may choose its kernels then."""
        check_precision(self, options.precision)
        with readable(engine, self, "engine"):
            if not self._provider.compiles:
                _require_precision(engine, options.precision)
            session = open_session(engine, self._provider, options)
            where = self._provider.name, self._provider.memory
            loaded = OnnxRuntimeEngine(session, engine, *where, batch=options.batch)
            if not self._provider.threads:
                empty = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.input_specs}
                loaded.window(empty, WARMUP_SECONDS)
        yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is one file."""
        return (engine,)


def _require_precision(path: Path, precision: str) -> None:
    """Refuses a graph that is written for another precision."""
    found = graph_precision(path)
    if found not in ("", precision):
        raise HwsearchError(
            f"this model is written for {found}, not for {precision}",
            where=path,
            fix=f"Use --precision {found}, or the {precision} form of the model",
        )
