"""The register of spaces: names to builders, each built once when first asked for."""

from collections.abc import Callable
from functools import cache

from hwsearch.errors import unknown_name
from hwsearch.space import Space

_BUILDERS: dict[str, Callable[[], Space]] = {}


def register_space(name: str) -> Callable[[Callable[[], Space]], Callable[[], Space]]:
    """Registers the builder of a space under its name."""

    def keep(builder: Callable[[], Space]) -> Callable[[], Space]:
        assert name not in _BUILDERS, f"space {name} is registered twice"
        _BUILDERS[name] = builder
        return builder

    return keep


def space_names() -> tuple[str, ...]:
    """Returns the names of all registered spaces."""
    return tuple(sorted(_BUILDERS))


@cache
def get_space(name: str) -> Space:
    """Returns a space by name.

    Raises:
        HwsearchError: If no space has that name.
    """
    if name not in _BUILDERS:
        raise unknown_name("space", name, _BUILDERS)
    return _BUILDERS[name]()
