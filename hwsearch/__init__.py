"""Deployment search on measured hardware: one supernet, many devices, verified engines."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsearch.deploy.backbone import load_backbone as load_backbone
    from hwsearch.deploy.load import load as load
    from hwsearch.export.hugging_face import export_hugging_face as export_hugging_face
    from hwsearch.export.resnet_state import as_resnet_state_dict as as_resnet_state_dict
    from hwsearch.export.resnet_state import resnet_arguments as resnet_arguments

    __version__: str

_HOMES = {
    "as_resnet_state_dict": "export.resnet_state",
    "export_hugging_face": "export.hugging_face",
    "load": "deploy.load",
    "load_backbone": "deploy.backbone",
    "resnet_arguments": "export.resnet_state",
}
"""Modules of the public names."""

__all__ = [
    "__version__",
    "as_resnet_state_dict",
    "export_hugging_face",
    "load",
    "load_backbone",
    "resnet_arguments",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the protocol of module attributes
    """Finds public names when they are first used, so that `import hwsearch` stays light."""
    if name in _HOMES:
        return getattr(import_module(f"hwsearch.{_HOMES[name]}"), name)
    if name == "__version__":  # a kit's copy of this package is not installed and has none
        from importlib.metadata import version

        return version("hwsearch")
    raise AttributeError(f"module 'hwsearch' has no attribute '{name}'")
