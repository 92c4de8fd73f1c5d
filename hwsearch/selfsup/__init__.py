"""Self-supervised methods: losses, heads and teachers, and one file a method."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwsearch.errors import unknown_name

if TYPE_CHECKING:
    from hwsearch.selfsup.base import Method

_METHODS = {"moco-v2": "hwsearch.selfsup.moco_v2:MocoV2"}


def register_method(name: str, target: str) -> None:
    """Registers a method of one's own.

    Args:
        name: What users write.
        target: Where its class is, as "module:Class".
    """
    _METHODS[name] = target


def method_names() -> tuple[str, ...]:
    """Returns the names of all methods."""
    return tuple(sorted(_METHODS))


def check_method(name: str) -> None:
    """Refuses an unknown method without loading torch.

    Raises:
        HwsearchError: If no method has that name.
    """
    if name not in _METHODS:
        raise unknown_name("method", name, _METHODS)


def get_method(name: str) -> "type[Method[Any]]":
    """Returns the class of a method, built as `get_method(name)(supernet, settings)`.

    Raises:
        HwsearchError: If no method has that name.
    """
    check_method(name)
    module, _, attribute = _METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
