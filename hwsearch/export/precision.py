"""From an exported network to the numbers that its engine is to compute in."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory

from hwsearch.export.cast import cast_to_fp16
from hwsearch.export.quantise import quantise, quantiser_of
from hwsearch.runtime import quantised_for
from hwsearch.runtime.base import Feed, Portable

HALF_AROUND_INT8 = ("tensorrt",)
"""Runtimes that take all numbers from the graph and are fastest with float16 between integers."""


def in_precision(
    model: Portable,
    out: Path,
    *,
    runtime: str,
    precision: str,
    feeds: Callable[[], Sequence[Feed]],
    half_range: bool = False,
) -> Portable:
    """Writes the form of an ONNX file that a runtime builds an engine of that precision from.

    Args:
        model: ONNX in float32. An exported program is already what it should be.
        out: The ONNX file to write if it must be another.
        runtime: Name of the runtime.
        precision: Numbers that the engine is to compute in.
        feeds: Gives inputs that ranges of activations are told from, if they are needed.
        half_range: Whether int8 weights keep to half their range, for a processor on which int8
            products overflow. That changes numbers, and no latency.

    Returns:
        The form; the model itself where the runtime decides on the numbers.

    Raises:
        HwsearchError: If the model cannot be brought into that form.
    """
    if model.program is not None:
        return model
    match precision:
        case "int8":
            if quantised_for(runtime) not in HALF_AROUND_INT8:
                return quantise(model, out, runtime, feeds(), half_range=half_range)
            with TemporaryDirectory(prefix="hwsearch-") as folder:  # `out` is whole or not there
                quantised = Path(folder) / out.name
                model = quantise(model, quantised, runtime, feeds(), half_range=half_range)
                return cast_to_fp16(model, out)
        case "fp16" if not runtime.startswith("openvino"):  # there a property decides
            return cast_to_fp16(model, out)
    return model


def converter_versions(runtime: str, precision: str) -> dict[str, str]:
    """Returns the version of each package that the form of a precision depends on.

    Args:
        runtime: Name of the runtime.
        precision: Numbers that engines are to compute in.
    """
    if precision != "int8":
        return {}
    package = quantiser_of(runtime).package
    try:
        return {package: version(package)}
    except PackageNotFoundError:  # onnxruntime-gpu and others bring it under their own name
        return {package: version(packages_distributions()[package][0])}
