"""From an ONNX file to its int8 form: Q/DQ pairs where a runtime gains by them."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import rich

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.journal import write_atomic
from hwsearch.runtime import quantised_for
from hwsearch.runtime.base import Feed, Portable, fixed_shape
from hwsearch.runtime.onnx_nodes import op_types, products

SEEDED_CALLS = 2
"""Random feeds when only latency counts: the ranges that they show need not be good."""

_TOKEN_PRODUCTS = ("Conv", "Gemm", "MatMul")
_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"})


def quantise(
    model: Portable, out: Path, runtime: str, feeds: Sequence[Feed], *, half_range: bool = False
) -> Portable:
    """Writes the int8 form of an ONNX file; the same inputs give the same bytes.

    Weights are symmetric, with a scale for each channel. The graph depends on the model's graph
    alone: other weights and feeds only give other scales. A model that is quantised already, or
    in which nothing is multiplied, such as a pooling block, is taken as it is.

    Args:
        model: What to quantise.
        out: The ONNX file to write.
        runtime: Name of the runtime that the engine will be built by.
        feeds: Inputs that the ranges of activations are told from.
        half_range: Whether weights keep to half the range of int8, as some processors need. Not
            for TensorRT.

    Returns:
        The quantised form.

    Raises:
        HwsearchError: If there is no way to quantise for that runtime, a package is not
            installed, or the model cannot be quantised.
    """
    quantiser, path = quantiser_of(runtime), model.file("onnx")
    if op_types(path) & _QUANTISED or not any(products(path)):
        write_atomic(out, path.read_bytes())
        return Portable(onnx=out)
    try:
        data = quantiser.quantise(path, feeds, half_range)
    except Exception as cause:
        reason = str(cause).strip().splitlines()
        raise HwsearchError(
            f"{quantiser.package} cannot quantise this model: {reason[-1] if reason else cause!r}",
            where=path,
            fix="Use --precision fp32",
        ) from cause
    write_atomic(out, data)
    return Portable(onnx=out)


@dataclass(frozen=True)
class Quantiser:
    """How models are quantised for one runtime.

    Attributes:
        package: What does it.
        install: How to install that.
        quantise: From an ONNX file, feeds and whether weights keep to half the range, to the bytes
            of the quantised file.
    """

    package: str
    install: str
    quantise: Callable[[Path, Sequence[Feed], bool], bytes]


def quantiser_of(runtime: str) -> Quantiser:
    """Returns how models are quantised for a runtime.

    Raises:
        HwsearchError: If they cannot be, or its package is not installed.
    """
    plain = quantised_for(runtime)
    if plain not in _QUANTISERS:
        raise unknown_name("runtime for int8", runtime, _QUANTISERS)
    found = _QUANTISERS[plain]
    if find_spec(found.package) is None:
        raise HwsearchError(
            f"the package {found.package}, which quantises, is not installed",
            fix=f"Run: {found.install}",
        )
    return found


def seeded_feeds(model: Portable, *, seed: int = 0) -> tuple[Feed, ...]:
    """Draws inputs for a model that is measured rather than used.

    Args:
        model: What takes them; float inputs are drawn normally, bytes evenly.
        seed: Seed of the draw.
    """
    path, rng = model.file("onnx"), np.random.default_rng(seed)
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in weights]
    return tuple(
        {value.name: _drawn(value, path, rng) for value in given} for _ in range(SEEDED_CALLS)
    )


def _drawn(value: onnx.ValueInfoProto, path: Path, rng: np.random.Generator) -> np.ndarray:
    kind = value.type.tensor_type
    shape = fixed_shape(value.name, tuple(size.dim_value for size in kind.shape.dim), path)
    if kind.elem_type == onnx.TensorProto.UINT8:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape, np.float32)


def image_feeds(name: str, inputs_NCHW: np.ndarray, batch: int) -> tuple[Feed, ...]:
    """Splits images into feeds of a fixed batch; the last is filled up with the first images.

    Args:
        name: Name of the model's input.
        inputs_NCHW: What the model takes, N at least 1.
        batch: Images a call.
    """
    count = -(-len(inputs_NCHW) // batch)
    shape = (count, batch, *inputs_NCHW.shape[1:])
    return tuple({name: images} for images in np.resize(inputs_NCHW, shape))


def _by_onnxruntime(path: Path, feeds: Sequence[Feed], half_range: bool) -> bytes:
    """Quantises all that ONNX Runtime's CPU provider has integer kernels for.

    Signed activations would leave some convolutions in floats and be slower than fp32. Among
    tokens only products are quantised, their outputs not: what lies between, such as softmax
    and layer norm, gains nothing and loses much.
    """
    from onnxruntime.quantization import QuantType, quantize_static

    with _prepared(path) as prepared:
        quantised, tokens = prepared.with_name("quantised.onnx"), _has_tokens(prepared)
        quantize_static(
            prepared,
            quantised,
            _Reader(feeds),  # pyright: ignore[reportArgumentType]  # a reader by structure
            op_types_to_quantize=list(_TOKEN_PRODUCTS) if tokens else None,
            per_channel=True,
            reduce_range=half_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": _TOKEN_PRODUCTS if tokens else ()},
        )
        return quantised.read_bytes()


def _for_tensorrt(path: Path, feeds: Sequence[Feed], _: bool) -> bytes:
    """Quantises what TensorRT has integer kernels for, as `quantise_tensorrt` says."""
    from onnxruntime.quantization import quantize

    from hwsearch.export.quantise_tensorrt import free_main_branches, settings

    with _prepared(path) as prepared:
        quantised, model = prepared.with_name("quantised.onnx"), onnx.load(prepared)
        reader = _Reader(feeds)
        how = settings(model, reader, tokens=_has_tokens(prepared))  # pyright: ignore[reportArgumentType]
        quantize(prepared, quantised, how)
        model = onnx.load(quantised)
    free_main_branches(model)
    return model.SerializeToString(deterministic=True)


@contextmanager
def _prepared(path: Path) -> Iterator[Path]:
    """Lets ONNX Runtime fold what it can into a file that is gone when the context ends."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="hwsearch-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        yield prepared


class _Reader:
    """Feeds in the form that ONNX Runtime's quantiser takes them in."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(map(dict, self._feeds), None)


def _by_nncf(path: Path, feeds: Sequence[Feed], half_range: bool) -> bytes:
    """Quantises what OpenVINO has integer kernels for.

    Ranges are the plain extremes and biases stay as they are: with NNCF's averages and its fast
    bias correction the outputs of small networks differed twice as much from fp32.
    """
    os.environ.setdefault("NNCF_CI", "1")  # or it would report to its makers
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    with _silent_bars():
        model = nncf.quantize(
            onnx.load(path),
            nncf.Dataset(feeds),
            subset_size=len(feeds),
            target_device=nncf.TargetDevice.CPU,
            model_type=nncf.ModelType.TRANSFORMER if _has_tokens(path) else None,
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE if half_range else OverflowFix.FIRST_LAYER,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                disable_bias_correction=True,
            ),
        )
    return model.SerializeToString(deterministic=True)


def _has_tokens(path: Path) -> bool:
    return "LayerNormalization" in op_types(path)


@contextmanager
def _silent_bars() -> Iterator[None]:
    """Hides progress bars on rich's own console; ours is another."""
    shared = rich.get_console()
    before, shared.quiet = shared.quiet, True
    try:
        yield
    finally:
        shared.quiet = before


_QUANTISERS = {
    "onnxruntime": Quantiser("onnxruntime", "pip install onnxruntime", _by_onnxruntime),
    "openvino": Quantiser("nncf", "pip install 'hwsearch[openvino]'", _by_nncf),
    "tensorrt": Quantiser("onnxruntime", "pip install onnxruntime", _for_tensorrt),
}
