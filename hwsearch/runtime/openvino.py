"""OpenVINO, on the CPU or on one other device."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import (
    WARMUP_SECONDS,
    BuildOptions,
    Feed,
    Form,
    LoadOptions,
    Portable,
    TensorSpec,
    check_feed,
    check_precision,
    input_spec,
    readable,
    timed_calls,
)
from hwsearch.runtime.onnx_nodes import multiplies
from hwsearch.runtime.openvino_devices import DEVICES, Device, require_device

_CACHE = "compiled"
"""Folder beside an engine's file."""
_PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")
"""Types of layers that multiply, as the plugin names them."""
_NUMBERS = {"fp32": ("f32",), "bf16": ("bf16",), "int8": ("u8", "i8")}
"""What they compute in, by precision, as the plugin names it."""


@cache
def _core() -> openvino.Core:
    return openvino.Core()


class OpenVino:
    """Builds and loads engines of one of OpenVINO's plugins.

    For int8 the model must be quantised; what is not computes in the device's floats then.

    Args:
        name: Registered name, a key of `DEVICES`.

    Raises:
        HwsearchError: If OpenVINO does not find the device.
    """

    takes: Form = "onnx"
    slow_build: bool = False

    def __init__(self, name: str = "openvino") -> None:
        self.name, self._device = name, DEVICES[name]
        self.precisions = tuple(self._device.hints)
        require_device(self._device, _core().available_devices)

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return version("openvino")

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Converts the graph into `out`/engine.xml and engine.bin, weights uncompressed.

        With a cache it is compiled at once, beside the engine: small networks load in a quarter
        of the time then, large ones in half.
        """
        check_precision(self, options.precision)
        _require_capability(self._device, options.precision)
        out.mkdir(parents=True, exist_ok=True)
        engine = out / "engine.xml"
        source = model.file(self.takes)
        with readable(source, self, "ONNX file"):
            # The core reads in silence; openvino.convert_model would report to its makers.
            openvino.save_model(_core().read_model(source), engine, compress_to_fp16=False)
            if options.cache:
                (out / _CACHE).mkdir(exist_ok=True)
                _compiled(engine, self._device, LoadOptions(precision=options.precision))
        return engine

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator["OpenVinoEngine"]:
        """Compiles an engine file for one stream of calls."""
        check_precision(self, options.precision)
        with readable(engine, self, "engine"):
            loaded = OpenVinoEngine(engine, self._device, options)
            if not self._device.is_processor:
                empty = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.input_specs}
                loaded.window(empty, WARMUP_SECONDS)
        yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is a graph and its weights."""
        return (engine, engine.with_suffix(".bin"))


class OpenVinoEngine:
    """One compiled model and the one request that all calls use again."""

    def __init__(self, path: Path, device: Device, options: LoadOptions) -> None:
        _require_capability(device, options.precision)
        compiled = _compiled(path, device, options)
        self._compiled = compiled
        self._check_device(device, path)
        hint = device.hints[options.precision]
        self._check("INFERENCE_PRECISION_HINT", hint.get_type_name(), path)
        if device.is_processor:
            self._check("INFERENCE_NUM_THREADS", str(options.threads), path)
            self._check_numbers(options.precision, path)
        else:
            require_form(path, options.precision)
        self.provider = device.name
        self.input_specs = tuple(_spec(port, path, options.batch) for port in compiled.inputs)
        # A port may have several names: its own, and those of what was found to change nothing.
        self._outputs = {name: port for port in compiled.outputs for name in port.get_names()}
        self._request = compiled.create_infer_request()
        # The binding's own call: what the Python class adds around it are conversions of inputs
        # that lie in place and of outputs that nobody reads.
        own = super(openvino.InferRequest, self._request).infer
        self._infer = partial(own, {}, share_outputs=True, decode_strings=False)
        self._alone = device.is_processor and options.threads == 1

    def _check_device(self, device: Device, path: Path) -> None:
        found = self._compiled.get_property("EXECUTION_DEVICES")
        if not found or not all(map(device.is_named, found)):
            raise HwsearchError(f"{', '.join(found)} would run, not {device.name}", where=path)

    def _check(self, name: str, wanted: str, path: Path) -> None:
        found = self._compiled.get_property(name)
        if isinstance(found, openvino.Type):
            found = found.get_type_name()
        if str(found) != wanted:
            raise HwsearchError(f"{name} would be {found}, not {wanted}", where=path)

    def _check_numbers(self, precision: str, path: Path) -> None:
        """Refuses a model whose products are not computed in what was asked for.

        Quantisers leave some alone: one that is quantised is enough, one too many is not.
        """
        info = [node.get_rt_info() for node in self._compiled.get_runtime_model().get_ops()]
        found = {
            about["runtimePrecision"].astype(str)
            for about in info
            if about["layerType"].astype(str) in _PRODUCTS
        }
        wanted = set(_NUMBERS[precision])
        missing, foreign = not found & wanted, found - wanted
        if found and (missing or (precision == "fp32" and foreign)):
            raise HwsearchError(
                f"this engine would compute in {', '.join(sorted(found))}, not in {precision}",
                where=path,
                fix="Load it in the precision it was built for",
            )

    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        check_feed(self.input_specs, feed)
        self._place(feed)
        self._compute()
        return {
            name: self._request.get_tensor(port).data.copy() for name, port in self._outputs.items()
        }

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls whose inputs and outputs stay where they are, float[n] in seconds.

        By the request's own clock, as benchmark_app does: Python's way into a call and out of it,
        1 to 3 % of 0.5 to 3 ms, is no part of it.
        """
        check_feed(self.input_specs, feed)
        self._place(feed)
        times_ms: list[float] = []

        def call() -> None:
            self._compute()
            times_ms.append(self._request.latency)

        timed_calls(call, seconds)
        return np.array(times_ms) / 1e3

    def _place(self, feed: Feed) -> None:
        for name, array in feed.items():
            tensor = self._request.get_tensor(name)
            if tuple(tensor.shape) != array.shape:
                tensor.shape = array.shape
            tensor.data[:] = array

    def _compute(self) -> None:
        # In `infer` the calling thread computes: handing a call over and back took 2 to 3 % of
        # 0.3 to 0.5 ms, and far more on a busy core. But with several threads it joins them, one
        # more than there are cores: calls of 1 ms took up to 16 ms on two busy cores.
        if self._alone:
            self._infer()
            return
        self._request.start_async()
        self._request.wait()


def _compiled(path: Path, device: Device, options: LoadOptions) -> openvino.CompiledModel:
    """Compiles a model; what a cache beside it holds for another version is left alone."""
    config = device.config(options.precision, options.threads)
    cache = path.parent / _CACHE
    if cache.is_dir():
        config["CACHE_DIR"] = str(cache)
    return _core().compile_model(path, device.name, config)


def _require_capability(device: Device, precision: str) -> None:
    offered = _core().get_property(device.name, "OPTIMIZATION_CAPABILITIES")
    if precision.upper() not in offered:
        raise HwsearchError(
            f"OpenVINO's {device.name} plugin cannot compute in {precision} here",
            fix=f"Use --precision {next(iter(device.hints))}",
        )


def require_form(path: Path, precision: str) -> None:
    """Refuses a quantised model unless for int8, and for it one that multiplies in floats only."""
    kinds = {node.get_type_name() for node in _core().read_model(path).get_ops()}
    quantised = "FakeQuantize" in kinds
    if quantised != (precision == "int8") and (quantised or any(map(multiplies, kinds))):
        raise HwsearchError(
            f"this engine would not compute in {precision}",
            where=path,
            fix="Load it in the precision it was built for",
        )


def _spec(port: openvino.ConstOutput, path: Path, batch: int) -> TensorSpec:
    shape = port.get_partial_shape()
    sizes = [size.get_length() if size.is_static else None for size in shape]
    dtype = port.get_element_type().to_dtype().name
    return input_spec(port.get_any_name(), sizes, dtype, path, batch)
