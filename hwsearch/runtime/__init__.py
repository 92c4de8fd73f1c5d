"""Inference runtimes, one file each, imported when first asked for."""

from importlib import import_module
from importlib.util import find_spec

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.runtime.base import Runtime

__all__ = ["get_runtime", "runtime_names"]

_RUNTIMES = {
    "onnxruntime": ("OnnxRuntime", "pip install onnxruntime"),
    "openvino": ("OpenVino", "pip install 'hwsearch[openvino]'"),
}
"""Name, which is also that of the package and of the module here: class, how to install."""


def runtime_names() -> tuple[str, ...]:
    """Returns the names of all runtimes, installed or not."""
    return tuple(sorted(_RUNTIMES))


def get_runtime(name: str) -> Runtime:
    """Returns a runtime by name.

    Raises:
        HwsearchError: If no runtime has that name or its package is not installed.
    """
    if name not in _RUNTIMES:
        raise unknown_name("runtime", name, _RUNTIMES)
    class_name, install = _RUNTIMES[name]
    if find_spec(name) is None:
        raise HwsearchError(f"the package {name} is not installed", fix=f"Run: {install}")
    return getattr(import_module(f"hwsearch.runtime.{name}"), class_name)()
