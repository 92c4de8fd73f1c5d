"""The package timm, imported also where torchvision is missing or does not fit this torch."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from hwsearch.spaces.timm import timm_version

_TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)
"""What timm imports; for data and transforms; its networks compute without it."""


def import_timm() -> ModuleType:
    """Imports timm; where torchvision cannot be imported, empty modules stand in for it.

    Raises:
        HwsearchError: If timm is not installed.
    """
    timm_version()
    try:
        return import_module("timm")
    except (ImportError, RuntimeError, OSError):
        _forget("timm", "torchvision")
        with _stand_ins():
            return import_module("timm")


def _forget(*packages: str) -> None:
    """Lets packages be imported anew after an import that failed halfway."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


class _AnyMember(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyMember(name, (), {})


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Empty modules in the place of torchvision's while timm is imported."""
    modules = {name: _StandIn(name) for name in _TORCHVISION}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        _forget("torchvision")
