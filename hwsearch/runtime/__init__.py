"""Inference runtimes, one file each, imported when first asked for."""

from importlib import import_module
from importlib.util import find_spec

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.runtime.base import Form, Runtime

__all__ = ["form_of", "get_runtime", "runtime_names"]

_RUNTIMES = {
    "onnxruntime": ("OnnxRuntime", "pip install onnxruntime"),
    "openvino": ("OpenVino", "pip install openvino"),
    "tensorrt": ("TensorRt", "pip install tensorrt"),
    "torch": ("Torch", "pip install torch"),
    "torch-aoti": ("TorchAoti", "pip install torch"),
}
"""Name: class, how to install. The module here has the same name, its package all before "-"."""


def runtime_names() -> tuple[str, ...]:
    """Returns the names of all runtimes, installed or not."""
    return tuple(sorted(_RUNTIMES))


def form_of(name: str) -> Form:
    """Returns what a runtime builds engines from, `Runtime.takes`, even if it is not installed."""
    return "program" if _package_of(name) == "torch" else "onnx"


def _package_of(name: str) -> str:
    return name.partition("-")[0]


def get_runtime(name: str) -> Runtime:
    """Returns a runtime by name.

    Raises:
        HwsearchError: If no runtime has that name or its package is not installed.
    """
    if name not in _RUNTIMES:
        raise unknown_name("runtime", name, _RUNTIMES)
    class_name, install = _RUNTIMES[name]
    package, module = _package_of(name), name.replace("-", "_")
    if find_spec(package) is None:
        raise HwsearchError(f"the package {package} is not installed", fix=f"Run: {install}")
    return getattr(import_module(f"hwsearch.runtime.{module}"), class_name)()
