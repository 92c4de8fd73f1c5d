"""Inference runtimes, one file each, imported when first asked for."""

from importlib import import_module
from importlib.util import find_spec

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.runtime.base import Form, Runtime
from hwsearch.runtime.onnxruntime_providers import PROVIDERS

__all__ = ["form_of", "get_runtime", "quantised_for", "runtime_names"]

_RUNTIMES = {
    "onnxruntime": ("onnxruntime", "OnnxRuntime", "pip install onnxruntime"),
    **{
        name: ("onnxruntime_other", "OnnxRuntimeOther", one.install)
        for name, one in PROVIDERS.items()
    },
    "openvino": ("openvino", "OpenVino", "pip install openvino"),
    "openvino-gpu": ("openvino", "OpenVino", "pip install openvino"),
    "openvino-npu": ("openvino", "OpenVino", "pip install openvino"),
    "tensorrt": ("tensorrt", "TensorRt", "pip install tensorrt"),
    "torch": ("torch", "Torch", "pip install torch"),
    "torch-aoti": ("torch_aoti", "TorchAoti", "pip install torch"),
}
"""Name, which begins with its package up to "-": module here, class, how to install."""

_TAKE_NAME = ("OnnxRuntimeOther", "OpenVino")
"""Classes of several runtimes."""


def runtime_names() -> tuple[str, ...]:
    """Returns the names of all runtimes, installed or not."""
    return tuple(sorted(_RUNTIMES))


def form_of(name: str) -> Form:
    """Returns what a runtime builds engines from, `Runtime.takes`, even if it is not installed."""
    return "program" if _package_of(name) == "torch" else "onnx"


def quantised_for(name: str) -> str:
    """Returns the plain runtime whose quantised graphs a runtime takes."""
    return PROVIDERS[name].quantised_for if name in PROVIDERS else _package_of(name)


def _package_of(name: str) -> str:
    return name.partition("-")[0]


def get_runtime(name: str) -> Runtime:
    """Returns a runtime by name.

    Raises:
        HwsearchError: If no runtime has that name, its package is not installed, or the
            package has no such provider or device here.
    """
    if name not in _RUNTIMES:
        raise unknown_name("runtime", name, _RUNTIMES)
    module, class_name, install = _RUNTIMES[name]
    package = _package_of(name)
    if find_spec(package) is None:
        raise HwsearchError(f"the package {package} is not installed", fix=f"Run: {install}")
    made = getattr(import_module(f"hwsearch.runtime.{module}"), class_name)
    return made(name) if class_name in _TAKE_NAME else made()
