"""Self-supervised methods: losses, heads and teachers, and one file a method."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwsearch.errors import unknown_name
from hwsearch.selfsup.settings import DEFAULTS

if TYPE_CHECKING:
    from hwsearch.selfsup.base import Method

_METHODS = {
    "byol": "hwsearch.selfsup.byol:Byol",
    "densecl": "hwsearch.selfsup.densecl:DenseCl",
    "distil": "hwsearch.selfsup.distil:Distil",
    "moco-v2": "hwsearch.selfsup.moco_v2:MocoV2",
    "ressl": "hwsearch.selfsup.ressl:ReSsl",
    "simclr": "hwsearch.selfsup.simclr:SimClr",
    "simsiam": "hwsearch.selfsup.simsiam:SimSiam",
}


def register_method(name: str, target: str, defaults: Mapping[str, Any]) -> None:
    """Registers a method of one's own.

    Args:
        name: What users write.
        target: Where its class is, as "module:Class".
        defaults: Settings that it takes and what they are by default; see `settings.DEFAULTS`.
    """
    _METHODS[name] = target
    DEFAULTS[name] = defaults


def method_names() -> tuple[str, ...]:
    """Returns the names of all methods."""
    return tuple(_METHODS)


def get_method(name: str) -> "type[Method[Any]]":
    """Returns the class of a method, built as `get_method(name)(supernet, settings)`.

    Raises:
        HwsearchError: If no method has that name.
    """
    if name not in _METHODS:
        raise unknown_name("method", name, _METHODS)
    module, _, attribute = _METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
