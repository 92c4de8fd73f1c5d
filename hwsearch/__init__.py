"""Deployment search on measured hardware: one supernet, many devices, verified engines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsearch.deploy.load import load as load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the protocol of module attributes
    """Finds public names when they are first used, so that `import hwsearch` stays light."""
    if name == "load":
        from hwsearch.deploy.load import load

        return load
    if name == "__version__":  # a kit's copy of this package is not installed and has none
        from importlib.metadata import version

        return version("hwsearch")
    raise AttributeError(f"module 'hwsearch' has no attribute '{name}'")
