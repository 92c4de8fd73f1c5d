"""Runs a delivered engine from Python."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from hwsearch.data.prepare import normalise_array, prepare
from hwsearch.deploy.manifest import Manifest, check_files, read_manifest
from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.errors import HwsearchError
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.embed import embed


class LoadedEngine:
    """A verified engine, ready to turn images into embeddings.

    It holds the runtime's resources until `close` or the end of a `with` block.

    Args:
        folder: An engine folder whose manifest and files have been checked.
        manifest: Its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._resources = ExitStack()
        runtime = get_runtime(manifest.runtime)
        options = LoadOptions(threads=manifest.threads, precision=manifest.precision)
        self._engine = self._resources.enter_context(
            runtime.load(folder / manifest.engine, options)
        )

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Computes embeddings of images as a camera or a file gives them.

        Args:
            images: uint8[H, W, 3], uint8[N, H, W, 3] or a sequence of uint8[H, W, 3] of any size.

        Returns:
            float32[N, E], one row an image.
        """
        several = [images] if isinstance(images, np.ndarray) and images.ndim == 3 else images
        takes = self.manifest.input
        prepared = np.stack([prepare(image, takes.side) for image in several])
        return embed(
            self._engine,
            normalise_array(prepared, takes.mean, takes.std),
            input_name=takes.name,
            output_name=self.manifest.output.name,
            batch=takes.batch,
        )

    def close(self) -> None:
        """Frees the runtime's resources."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(folder: str | Path, *, trust: bool = False) -> LoadedEngine:
    """Loads an engine that `hwsearch deploy` wrote.

    The hashes in the manifest show damage, not origin: an engine is native code, so a folder
    that was built on another machine is only loaded when you say that you trust it.

    Args:
        folder: The engine folder.
        trust: Whether to load an engine that was built elsewhere.

    Raises:
        HwsearchError: If a file is missing or damaged, or the engine was built elsewhere.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    differing = fingerprint_difference(manifest.device, fingerprint())
    if differing and not trust:
        raise HwsearchError(
            f"this engine was built on another machine (differing: {', '.join(differing)})",
            where=folder,
            fix="Deploy it on this machine, or call hwsearch.load(folder, trust=True) if you "
            "trust its origin",
        )
    return LoadedEngine(folder, manifest)
