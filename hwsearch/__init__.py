"""Deployment search on measured hardware: one supernet, many devices, verified engines."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsearch.deploy.load import load as load

__version__ = version("hwsearch")
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the protocol of module attributes
    """Imports `load` when it is first used, so that `import hwsearch` stays light."""
    if name == "load":
        from hwsearch.deploy.load import load

        return load
    raise AttributeError(f"module 'hwsearch' has no attribute '{name}'")
