"""ONNX Runtime on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
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
    check_feed,
    check_precision,
    input_spec,
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
        return onnxruntime.__version__

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Optimises the graph into `out`/engine.onnx."""
        check_precision(self, options.precision)
        out.mkdir(parents=True, exist_ok=True)
        engine = out / "engine.onnx"
        settings = session_settings(LoadOptions())
        settings.optimized_model_filepath = str(engine)
        source = model.file(self.takes)
        with readable(source, self, "ONNX file"):
            _open(source, settings)
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
            session = _open(engine, session_settings(options))
            loaded = OnnxRuntimeEngine(session, engine, batch=options.batch)
            if options.precision == "int8":
                _require_int8(engine)
        yield loaded

    @contextmanager
    def load_plain(self, model: Path) -> Iterator["OnnxRuntimeEngine"]:
        """Loads an ONNX file without any optimisation, to compare engines with."""
        settings = session_settings(LoadOptions())
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with readable(model, self, "ONNX file"):
            loaded = OnnxRuntimeEngine(_open(model, settings), model)
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


def _open(path: Path, settings: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), settings, providers=[PROVIDER])


def session_settings(options: LoadOptions) -> onnxruntime.SessionOptions:
    """Returns settings of a session with its CPU threads."""
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
    """One session.

    Args:
        session: Of one provider.
        path: Its file.
        provider: What it must compute with.
        memory: Where inputs and outputs stay, as `OrtValue` calls it.
        batch: See `LoadOptions`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        path: Path,
        provider: str = PROVIDER,
        memory: str = "cpu",
        batch: int = 1,
    ) -> None:
        self._session, self._memory = session, memory
        self.provider = session.get_providers()[0]
        if self.provider != provider:
            raise HwsearchError(f"{self.provider} would run, not {provider}", where=path)
        self.input_specs = tuple(
            input_spec(item.name, item.shape, _DTYPES[item.type], path, batch)
            for item in session.get_inputs()
        )
        self._outputs = [item.name for item in session.get_outputs()]

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
            resident = onnxruntime.OrtValue.ortvalue_from_numpy(array, self._memory)
            binding.bind_ortvalue_input(name, resident)
        for name in self._outputs:
            binding.bind_output(name, self._memory)
        return timed_calls(partial(self._session.run_with_iobinding, binding), seconds)
