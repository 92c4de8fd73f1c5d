"""OpenVINO on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import (
    BuildOptions,
    Feed,
    LoadOptions,
    Portable,
    TensorSpec,
    check_feed,
    check_precision,
    fixed_shape,
    readable,
    timed_calls,
)

DEVICE = "CPU"
_HINTS = {"fp32": openvino.Type.f32}


@cache
def _core() -> openvino.Core:
    return openvino.Core()


class OpenVino:
    """Builds and loads engines of OpenVINO's CPU plugin."""

    name: str = "openvino"
    precisions: tuple[str, ...] = tuple(_HINTS)

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return version("openvino")

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Converts the graph into `out`/engine.xml and engine.bin, weights uncompressed."""
        check_precision(self, options.precision)
        out.mkdir(parents=True, exist_ok=True)
        engine = out / "engine.xml"
        with readable(model.onnx, self, "ONNX file"):
            # The core reads in silence; openvino.convert_model would report to its makers.
            openvino.save_model(_core().read_model(model.onnx), engine, compress_to_fp16=False)
        return engine

    @contextmanager
    def load(self, engine: Path, options: LoadOptions) -> Iterator["OpenVinoEngine"]:
        """Compiles an engine file for one stream of calls."""
        check_precision(self, options.precision)
        with readable(engine, self, "engine"):
            loaded = OpenVinoEngine(engine, options)
        yield loaded

    def files(self, engine: Path) -> tuple[Path, ...]:
        """An engine is a graph and its weights."""
        return (engine, engine.with_suffix(".bin"))


class OpenVinoEngine:
    """One compiled model and the one request that all calls use again."""

    def __init__(self, path: Path, options: LoadOptions) -> None:
        hint = _HINTS[options.precision]
        compiled = _core().compile_model(
            path,
            DEVICE,
            {
                "INFERENCE_PRECISION_HINT": hint.get_type_name(),
                "INFERENCE_NUM_THREADS": options.threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._compiled = compiled
        self._check("INFERENCE_PRECISION_HINT", hint.get_type_name(), path)
        self._check("INFERENCE_NUM_THREADS", str(options.threads), path)
        self._check("EXECUTION_DEVICES", DEVICE, path)
        self.provider = DEVICE
        self.input_specs = tuple(_spec(port, path) for port in compiled.inputs)
        self._outputs = [port.get_any_name() for port in compiled.outputs]
        self._request = compiled.create_infer_request()

    def _check(self, name: str, wanted: str, path: Path) -> None:
        found = self._compiled.get_property(name)
        if isinstance(found, openvino.Type):
            found = found.get_type_name()
        elif isinstance(found, list):
            found = ",".join(found)
        if str(found) != wanted:
            raise HwsearchError(f"{name} would be {found}, not {wanted}", where=path)

    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        check_feed(self.input_specs, feed)
        self._place(feed)
        self._compute()
        return {name: self._request.get_tensor(name).data.copy() for name in self._outputs}

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls whose inputs and outputs stay where they are, float[n] in seconds."""
        check_feed(self.input_specs, feed)
        self._place(feed)
        return timed_calls(self._compute, seconds)

    def _place(self, feed: Feed) -> None:
        for name, array in feed.items():
            self._request.get_tensor(name).data[:] = array

    def _compute(self) -> None:
        # In `infer` the calling thread joins the workers: one more than there are cores, and
        # calls of 1 ms took up to 16 ms on two busy cores. The stream's own thread does not.
        self._request.start_async()
        self._request.wait()


def _spec(port: openvino.ConstOutput, path: Path) -> TensorSpec:
    name = port.get_any_name()
    shape = port.get_partial_shape()
    sizes = tuple(size.get_length() if size.is_static else None for size in shape)
    return TensorSpec(name, fixed_shape(name, sizes, path), port.get_element_type().to_dtype().name)
