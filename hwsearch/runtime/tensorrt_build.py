"""From an ONNX file to a TensorRT engine."""

# pyright: reportInvalidTypeForm=false
# Few machines that check types have TensorRT: its classes are unknown there.

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.journal import write_atomic
from hwsearch.runtime.base import HEAD_PREFIX, fixed_shape
from hwsearch.runtime.cudart import Gpu
from hwsearch.runtime.tensorrt_settings import TensorRtSettings, allows_tf32

try:
    tensorrt: Any = import_module("tensorrt")
except (ImportError, OSError) as failure:
    raise HwsearchError(
        f"the package tensorrt cannot be loaded: {failure}",
        fix="Install the TensorRT of this device's CUDA version",
    ) from failure

T = TypeVar("T")

_DTYPES = {"fp32": tensorrt.DataType.FLOAT, "fp16": tensorrt.DataType.HALF}
_FLOATS = {*_DTYPES.values(), tensorrt.DataType.BF16}
_HEAVY = (tensorrt.LayerType.CONVOLUTION, tensorrt.LayerType.MATRIX_MULTIPLY)
_CONVERSIONS = (tensorrt.LayerType.CAST, tensorrt.LayerType.CONSTANT)
_MESSAGES = 3


class Log(tensorrt.ILogger):
    """Keeps the last errors that TensorRT reports, to be told in one of ours.

    TensorRT uses the first logger it meets for everything in the process: there is only `LOG`.
    """

    def __init__(self) -> None:
        tensorrt.ILogger.__init__(self)
        self.messages: deque[str] = deque(maxlen=_MESSAGES)

    def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT."""
        if severity in (tensorrt.ILogger.Severity.ERROR, tensorrt.ILogger.Severity.INTERNAL_ERROR):
            self.messages.append(" ".join(msg.split()))

    def error(self, what: str, *, where: Path | None = None, fix: str) -> HwsearchError:
        """Returns an error that ends in what TensorRT said, and forgets that."""
        said = "; ".join(self.messages) or "TensorRT gave no reason"
        self.messages.clear()
        return HwsearchError(f"{what}: {said}", where=where, fix=fix)


LOG = Log()


def started(kind: Callable[[Log], T]) -> T:
    """Makes a TensorRT builder or runtime.

    Raises:
        HwsearchError: If there is no GPU or the driver does not suit.
    """
    LOG.messages.clear()
    try:
        return kind(LOG)
    except (TypeError, RuntimeError) as cause:
        fix = "Check the GPU and its driver with nvidia-smi"
        raise LOG.error("TensorRT cannot start", fix=fix) from cause


def timing_cache_path(folder: Path, version: str, gpu: Gpu) -> Path:
    """Returns the file for builds by this version on this kind of GPU."""
    text = f"{version}\n{gpu.name}\n{gpu.compute_capability}\n{gpu.runtime_cuda}"
    return folder / f"tensorrt-{hashlib.sha256(text.encode()).hexdigest()[:16]}.timing"


def build_plan(
    onnx: Path, precision: str, settings: TensorRtSettings, timing_cache: Path | None
) -> bytes:
    """Builds an engine; the numbers it computes in are those of the ONNX graph.

    Args:
        onnx: A file with fixed shapes.
        precision: What its graph must compute in, but for an appended head.
        settings: How to build.
        timing_cache: File of layer timings, read if it is there and replaced by a longer one.

    Returns:
        The serialised engine.

    Raises:
        HwsearchError: If TensorRT cannot read or build the file, or if the graph computes in
            other numbers.
    """
    builder = started(tensorrt.Builder)
    # The parser owns the weights that the network refers to: it lives as long.
    network, _parser = _parsed(builder, onnx)
    _check_numbers(network, precision, onnx)
    config = _configured(builder, network, settings, onnx)
    if not allows_tf32(precision):
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    cache = _attached_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise LOG.error("tensorrt cannot build this ONNX file", where=onnx, fix="See the reason")
    if timing_cache:
        write_atomic(timing_cache, bytes(cache.serialize()))
    return bytes(plan)


def layers_json(engine: tensorrt.ICudaEngine) -> str:
    """Returns what TensorRT's inspector tells of every layer: kernels, formats, types."""
    inspector = engine.create_engine_inspector()
    return inspector.get_engine_information(tensorrt.LayerInformationFormat.JSON)


def _parsed(
    builder: tensorrt.Builder, onnx: Path
) -> tuple[tensorrt.INetworkDefinition, tensorrt.OnnxParser]:
    strongly_typed = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = tensorrt.OnnxParser(network, LOG)
    if not parser.parse_from_file(str(onnx)):
        LOG.messages.extend(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise LOG.error("tensorrt cannot read this ONNX file", where=onnx, fix="Export it again")
    return network, parser


def _check_numbers(network: tensorrt.INetworkDefinition, precision: str, onnx: Path) -> None:
    every = [network.get_layer(index) for index in range(network.num_layers)]
    layers = [layer for layer in every if not layer.name.startswith(HEAD_PREFIX)]
    quantised = any(layer.type == tensorrt.LayerType.QUANTIZE for layer in layers)
    heavy = [layer for layer in layers if layer.type in _HEAVY]
    if precision == "int8":
        right = quantised or not heavy
    else:
        computing = heavy or [layer for layer in layers if layer.type not in _CONVERSIONS]
        floats = _FLOATS.intersection(_dtypes(computing))
        right = not quantised and floats <= {_DTYPES[precision]}
    if not right:
        found = sorted({str(dtype) for dtype in _dtypes(layers)})
        raise HwsearchError(
            f"the ONNX graph does not compute in {precision} (its types: {', '.join(found)})",
            where=onnx,
            fix="Convert the graph first: TensorRT takes the numbers that it is written in",
        )


def _dtypes(layers: list[tensorrt.ILayer]) -> Iterator[tensorrt.DataType]:
    for layer in layers:
        for index in range(layer.num_outputs):
            yield layer.get_output(index).dtype


def _configured(
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    settings: TensorRtSettings,
    onnx: Path,
) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = settings.optimisation_level
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
    config.hardware_compatibility_level = _level(settings.hardware_compatibility)
    if settings.version_compatible:
        config.set_flag(tensorrt.BuilderFlag.VERSION_COMPATIBLE)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = fixed_shape(tensor.name, tuple(tensor.shape), onnx)
        profile.set_shape(tensor.name, shape, shape, shape)
    if config.add_optimization_profile(profile) < 0:
        raise LOG.error("tensorrt refuses the input shapes", where=onnx, fix="Export it again")
    return config


def _level(name: str) -> tensorrt.HardwareCompatibilityLevel:
    levels = tensorrt.HardwareCompatibilityLevel.__members__
    if name not in levels:
        raise unknown_name("hardware compatibility level", name, levels)
    return levels[name]


def _attached_cache(config: tensorrt.IBuilderConfig, path: Path | None) -> tensorrt.ITimingCache:
    """Attaches the timings of earlier builds, or none if TensorRT does not accept them."""
    known = path.read_bytes() if path and path.exists() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache
