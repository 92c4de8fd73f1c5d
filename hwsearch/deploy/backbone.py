"""Takes the float network of a delivered engine back into PyTorch, to be trained further."""

from pathlib import Path

from hwsearch.deploy.manifest import MANIFEST_NAME, Manifest, check_files, read_manifest
from hwsearch.errors import HwsearchError
from hwsearch.export.described import Description
from hwsearch.export.hugging_face import CONFIG_NAME, read_hugging_face
from hwsearch.nn.backbone import Backbone

WEIGHTS_NAME = "weights.safetensors"


def load_backbone(folder: str | Path) -> Backbone:
    """Loads the network that an engine was built from, as a PyTorch module in evaluation mode.

    It is the float network, whatever the engine computes in. Nothing in the folder is run, so a
    folder that was built on another machine needs no trust. After `train()` it learns like any
    module; no parameter is frozen.

    Args:
        folder: What `hwsearch deploy` or `export_hugging_face` wrote.

    Raises:
        HwsearchError: If a file is missing or damaged, or the engine was no network of a supernet.
    """
    folder = Path(folder)
    if not (folder / MANIFEST_NAME).exists() and (folder / CONFIG_NAME).exists():
        return read_hugging_face(folder)
    manifest = read_manifest(folder)
    if manifest.is_ready_model or WEIGHTS_NAME not in manifest.files:
        raise HwsearchError(
            f"this engine has no {WEIGHTS_NAME}: it was a ready model, not part of a supernet",
            where=folder,
            fix="Load the model with the library that it came from",
        )
    check_files(folder, manifest)
    path = folder / WEIGHTS_NAME
    return _describe(manifest, folder / MANIFEST_NAME).build(path.read_bytes(), path)


def _describe(manifest: Manifest, path: Path) -> Description:
    takes = manifest.input
    return Description(
        space=manifest.space,
        subnet=manifest.subnet,
        gives_maps=all(output.name != "embedding" for output in manifest.outputs),
        side=takes.side,
        mean=takes.mean,
        std=takes.std,
        path=path,
    )
