"""Sessions of ONNX Runtime in which nothing but the provider that was asked for computes."""

import platform
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import onnxruntime

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.onnx_nodes import multiplies
from hwsearch.runtime.onnxruntime import session_settings
from hwsearch.runtime.onnxruntime_providers import Provider

_RECORD, _REFUSE = "session.record_ep_graph_assignment_info", "session.disable_cpu_ep_fallback"
_REFUSED = "fallback to CPU EP"
"""Part of what ONNX Runtime says if something falls back although that is refused."""


def require_provider(provider: Provider) -> None:
    """Refuses a provider that is not installed, or that only simulates on this processor."""
    is_plugin(provider)
    there = onnxruntime.get_available_providers()
    if provider.name not in there:
        raise HwsearchError(
            f"this onnxruntime {onnxruntime.__version__} has no {provider.name} for this machine, "
            f"only {', '.join(there)}",
            fix=f"To get it: {provider.install}",
        )
    if provider.machines and platform.machine().lower() not in provider.machines:
        raise HwsearchError(
            f"{provider.name} only simulates its processor on {platform.machine()}",
            fix="Measure on the device itself: hwsearch kit",
        )


def is_plugin(provider: Provider) -> bool:
    """Tells whether a provider comes as a plugin, which is then added."""
    if not provider.plugin or find_spec(provider.plugin) is None:
        return False
    _register_once(provider.plugin, provider.name)
    return True


@cache
def _register_once(plugin: str, name: str) -> None:
    library = import_module(plugin).get_library_path()
    onnxruntime.register_execution_provider_library(name, library)


def open_session(
    path: Path, provider: Provider, options: LoadOptions, *, compiled: Path | None = None
) -> onnxruntime.InferenceSession:
    """Opens a session of which nothing falls back to another provider.

    Args:
        path: An ONNX file, compiled or not.
        provider: What is to compute.
        options: How the engine is loaded.
        compiled: Where to write the compiled graph, if anywhere.

    Raises:
        HwsearchError: If something else than the provider would compute.
    """
    settings = _settings(provider, compiled)
    settings.add_session_config_entry(_RECORD if _tells() else _REFUSE, "1")
    try:
        session = _opened(path, provider, options, settings)
    except Exception as cause:
        if _REFUSED not in str(cause):
            raise
        raise _fallen(path, provider, "a part of this model") from cause
    _require_all(session, provider, path)
    session.disable_fallback()
    return session


def _require_all(session: onnxruntime.InferenceSession, provider: Provider, path: Path) -> None:
    """Refuses a session in which another provider computes."""
    if provider.name not in session.get_providers():
        raise HwsearchError(
            f"{provider.name} does not start: {', '.join(session.get_providers())} would compute",
            where=path,
            fix="Install the libraries that ONNX Runtime's messages name",
        )
    if _tells() and (left := _left(session, provider)):
        raise _fallen(path, provider, ", ".join(left))


def _tells() -> bool:
    """Whether sessions tell where each operator went; those of 1.23 can only refuse."""
    return hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")


def _settings(provider: Provider, compiled: Path | None) -> onnxruntime.SessionOptions:
    settings = session_settings(LoadOptions())
    if compiled:
        settings.add_session_config_entry("ep.context_enable", "1")
        settings.add_session_config_entry("ep.context_embed_mode", "1")
        settings.add_session_config_entry("ep.context_file_path", str(compiled))
    return settings


def _opened(
    path: Path, provider: Provider, options: LoadOptions, settings: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    values = provider.options_for(options.precision, options.threads)
    if not is_plugin(provider):
        asked = [(provider.name, values)]
        return onnxruntime.InferenceSession(str(path), settings, providers=asked)
    # By its name a plugin would be left out without a word.
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider.name]
    settings.add_provider_for_devices(devices[:1], values)
    return onnxruntime.InferenceSession(str(path), settings)


def _left(session: onnxruntime.InferenceSession, provider: Provider) -> tuple[str, ...]:
    """Returns the types of operators that others than the provider compute but must not."""
    types = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider.name
        for node in part.get_nodes()
    }
    return tuple(sorted(name for name in types if multiplies(name) or not provider.shares))


def _fallen(path: Path, provider: Provider, what: str) -> HwsearchError:
    return HwsearchError(
        f"{provider.name} does not compute {what}: another provider would",
        where=path,
        fix="Use another --runtime",
    )
