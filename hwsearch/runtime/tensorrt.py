"""TensorRT 10 and 11 on an NVIDIA GPU."""

# pyright: reportInvalidTypeForm=false
# Few machines that check types have TensorRT: its classes are unknown there.

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
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
from hwsearch.runtime.cudart import open_cuda
from hwsearch.runtime.tensorrt_build import (
    LOG,
    build_plan,
    layers_json,
    started,
    tensorrt,
    timing_cache_path,
)
from hwsearch.runtime.tensorrt_note import EngineNote, check_runs_here, note_path, read_note
from hwsearch.runtime.tensorrt_settings import DEFAULT_SETTINGS, TensorRtSettings

WARM_UP_SECONDS = 0.2
"""Time of calls before the first that counts: clocks rise only under load."""


class TensorRt:
    """Builds and loads engines of TensorRT, strongly typed.

    The numbers are those that the ONNX graph is written in: float16 graphs come from
    `hwsearch.export`, int8 ones have symmetric Q/DQ nodes.

    Args:
        settings: How engines are built.
    """

    name: str = "tensorrt"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    takes: Form = "onnx"
    slow_build: bool = False  # two builds at once would disturb each other's timings

    def __init__(self, settings: TensorRtSettings = DEFAULT_SETTINGS) -> None:
        self.settings = settings

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return tensorrt.__version__

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Builds `out`/engine.plan, with a note (engine.json) and its layers beside it."""
        check_precision(self, options.precision)
        source = model.file(self.takes)
        gpu = open_cuda().gpu()
        out.mkdir(parents=True, exist_ok=True)
        engine = out / "engine.plan"
        cache = options.cache and timing_cache_path(options.cache, self.version, gpu)
        with readable(source, self, "ONNX file"):
            plan = build_plan(source, options.precision, self.settings, cache)
        note = EngineNote(
            precision=options.precision,
            tensorrt=self.version,
            device=gpu.name,
            compute_capability=".".join(str(number) for number in gpu.compute_capability),
            driver_cuda=gpu.driver_cuda,
            runtime_cuda=gpu.runtime_cuda,
            settings=self.settings,
            timing_cache=cache.name if cache else "",
        )
        write_atomic(engine, plan)
        write_atomic(note_path(engine), note.as_json())
        with readable(engine, self, "engine"):
            write_atomic(_layers_path(engine), layers_json(_deserialised(engine, note)))
        return engine

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator["TensorRtEngine"]:
        """Loads an engine file with a stream and buffers of its own."""
        check_precision(self, options.precision)
        with ExitStack() as resources:
            with readable(engine, self, "engine"):
                loaded = TensorRtEngine(engine, self.version, options.precision, resources)
            yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is a plan, its note and the list of its layers."""
        return (engine, note_path(engine), _layers_path(engine))


def _layers_path(engine: Path) -> Path:
    return engine.with_suffix(".layers.json")


def _deserialised(engine: Path, note: EngineNote) -> tensorrt.ICudaEngine:
    runtime = started(tensorrt.Runtime)
    runtime.engine_host_code_allowed = note.settings.version_compatible
    loaded = runtime.deserialize_cuda_engine(engine.read_bytes())
    if loaded is None:
        fix = "Build it again on this device"
        raise LOG.error("tensorrt cannot read this engine", where=engine, fix=fix)
    return loaded


class TensorRtEngine:
    """One execution context, with buffers that stay on the GPU.

    Args:
        path: An engine file with its note beside it.
        version: Version of TensorRT.
        precision: What the engine must compute in.
        resources: Closed when the engine is no longer needed.
    """

    def __init__(self, path: Path, version: str, precision: str, resources: ExitStack) -> None:
        self._cuda = cuda = open_cuda()
        note, gpu = read_note(path), cuda.gpu()
        check_runs_here(note, path, version=version, gpu=gpu)
        if note.precision != precision:
            raise HwsearchError(f"{note.precision} would run, not {precision}", where=path)
        self.provider = f"CUDA {gpu.name}"
        self._path, self._warm = path, False
        self._stream = resources.enter_context(cuda.stream())
        self._start, self._stop = (resources.enter_context(cuda.event()) for _ in range(2))
        self._engine = _deserialised(path, note)
        inputs, outputs = _tensors(self._engine, path)
        self.input_specs, self._outputs = inputs, outputs
        self._context: tensorrt.IExecutionContext = self._engine.create_execution_context()
        self._require(self._context is not None)
        self._addresses = {}
        for spec in inputs + outputs:
            address = resources.enter_context(cuda.memory(_size_bytes(spec)))
            self._addresses[spec.name] = address
            self._require(self._context.set_tensor_address(spec.name, address))
        resources.callback(self._close)

    def _close(self) -> None:
        # TensorRT's objects go before the stream and the memory that they use.
        self._cuda.wait(self._stream)
        self._context = self._engine = None

    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        check_feed(self.input_specs, feed)
        self._place(feed)
        self._enqueue()
        outputs = {spec.name: np.empty(spec.shape, spec.dtype) for spec in self._outputs}
        for name, array in outputs.items():
            self._cuda.copy_out(array, self._addresses[name], self._stream)
        self._cuda.wait(self._stream)
        return outputs

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls on the GPU by events around each, its inputs there, float[n] in seconds."""
        check_feed(self.input_specs, feed)
        self._place(feed)
        if not self._warm:
            timed_calls(self._call, WARM_UP_SECONDS)
            self._warm = True
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or not times:
            times.append(self._call())
        return np.array(times)

    def _place(self, feed: Feed) -> None:
        arrays = {
            spec.name: np.ascontiguousarray(feed[spec.name], spec.dtype)
            for spec in self.input_specs
        }
        for name, array in arrays.items():
            self._cuda.copy_in(self._addresses[name], array, self._stream)
        self._cuda.wait(self._stream)

    def _call(self) -> float:
        self._cuda.record(self._start, self._stream)
        self._enqueue()
        self._cuda.record(self._stop, self._stream)
        return self._cuda.seconds_between(self._start, self._stop)

    def _enqueue(self) -> None:
        self._require(self._context.execute_async_v3(self._stream))

    def _require(self, done: bool) -> None:
        if not done:
            fix = "Free memory of the GPU, or build the engine again"
            raise LOG.error("tensorrt cannot run this engine", where=self._path, fix=fix)


def _tensors(
    engine: tensorrt.ICudaEngine, path: Path
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns what the engine takes and what it gives."""
    inputs, outputs = [], []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape = fixed_shape(name, tuple(engine.get_tensor_shape(name)), path)
        dtype = np.dtype(tensorrt.nptype(engine.get_tensor_dtype(name)))
        taken = engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
        (inputs if taken else outputs).append(TensorSpec(name, shape, dtype.name))
    return tuple(inputs), tuple(outputs)


def _size_bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
