"""ONNX Runtime on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import (
    BuildOptions,
    Feed,
    Form,
    LoadOptions,
    Portable,
    TensorSpec,
    check_feed,
    check_precision,
    fixed_shape,
    readable,
    timed_calls,
)
from hwsearch.runtime.onnx_nodes import products

PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


class OnnxRuntime:
    """Builds and loads engines of ONNX Runtime's CPU provider.

    An engine is the graph after all optimisations, some of which are made for the CPU it was
    built on. For int8 the ONNX file must hold Q/DQ pairs; what multiplies between them becomes
    one integer operator each.
    """

    name: str = "onnxruntime"
    precisions: tuple[str, ...] = ("fp32", "int8")
    takes: Form = "onnx"
    slow_build: bool = False

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return version("onnxruntime")

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Optimises the graph into `out`/engine.onnx."""
        check_precision(self, options.precision)
        out.mkdir(parents=True, exist_ok=True)
        engine = out / "engine.onnx"
        settings = _settings(LoadOptions())
        settings.optimized_model_filepath = str(engine)
        source = model.file(self.takes)
        with readable(source, self, "ONNX file"):
            onnxruntime.InferenceSession(str(source), settings, providers=[PROVIDER])
        integer, _ = products(engine)
        if integer and options.precision != "int8":
            raise HwsearchError(
                f"the model is quantised: {', '.join(sorted(integer))} in it compute in int8",
                where=source,
                fix="Use --precision int8",
            )
        return engine

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator["OnnxRuntimeEngine"]:
        """Loads an engine file; its threads spin for a moment between calls, as is the default.

        Without spinning a second thread gained nothing for networks of 1 ms.
        """
        check_precision(self, options.precision)
        with readable(engine, self, "engine"):
            loaded = OnnxRuntimeEngine(engine, _settings(options))
            if options.precision == "int8":
                _require_int8(engine)
        yield loaded

    @contextmanager
    def load_plain(self, model: Path) -> Iterator["OnnxRuntimeEngine"]:
        """Loads an ONNX file without any optimisation, to compare engines with."""
        settings = _settings(LoadOptions())
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with readable(model, self, "ONNX file"):
            loaded = OnnxRuntimeEngine(model, settings)
        yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is one file."""
        return (engine,)


def _require_int8(engine: Path) -> None:
    """Refuses an engine that multiplies, but nothing of it in integers."""
    integer, floating = products(engine)
    if floating and not integer:
        raise HwsearchError(
            f"nothing in this engine computes in int8: {', '.join(sorted(floating))} do not",
            where=engine,
            fix="Build it from a quantised ONNX file",
        )


def _settings(options: LoadOptions) -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    if options.shared_pool and options.threads > 1:
        _make_pool(options.threads)
        settings.use_per_session_threads = False
    else:
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
    return settings


@cache
def _make_pool(threads: int) -> None:
    assert _make_pool.cache_info().currsize == 0, "the shared pool already has another size"
    if not hasattr(onnxruntime, "set_global_thread_pool_sizes"):
        raise HwsearchError(
            f"engines of onnxruntime {onnxruntime.__version__} cannot share their threads",
            fix="Install onnxruntime 1.23 or newer, or use --threads 1",
        )
    onnxruntime.set_global_thread_pool_sizes(threads, 1)


class OnnxRuntimeEngine:
    """One loaded session."""

    def __init__(self, path: Path, settings: onnxruntime.SessionOptions) -> None:
        self._session = onnxruntime.InferenceSession(str(path), settings, providers=[PROVIDER])
        self.provider = self._session.get_providers()[0]
        if self.provider != PROVIDER:
            raise HwsearchError(f"{self.provider} would run, not {PROVIDER}", where=path)
        self.input_specs = tuple(
            TensorSpec(
                item.name, fixed_shape(item.name, tuple(item.shape), path), _DTYPES[item.type]
            )
            for item in self._session.get_inputs()
        )
        self._outputs = [item.name for item in self._session.get_outputs()]

    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        check_feed(self.input_specs, feed)
        arrays = self._session.run(self._outputs, dict(feed))
        return {name: np.asarray(array) for name, array in zip(self._outputs, arrays, strict=True)}

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls whose inputs and outputs stay where they are, float[n] in seconds."""
        check_feed(self.input_specs, feed)
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        return timed_calls(partial(self._session.run_with_iobinding, binding), seconds)
