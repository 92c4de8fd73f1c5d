"""Runs a delivered engine from Python."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from hwsearch.data.prepare import prepare
from hwsearch.data.sources.decode import decode
from hwsearch.deploy.boxes import Box, boxes_of
from hwsearch.deploy.manifest import Manifest, check_files, input_of, read_manifest
from hwsearch.device import fingerprint, fingerprint_difference
from hwsearch.errors import HwsearchError
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.embed import compute

EMBEDDING = "embedding"

Image = np.ndarray | str | Path
"""uint8[H, W, 3] of any size, or the path of an image file."""

Images = Image | Sequence[Image]


def _pixels(images: Images) -> list[np.ndarray]:
    """Returns each image, uint8[H, W, 3].

    Raises:
        HwsearchError: If a file cannot be read, or an array is no image.
    """
    if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    found = [_read(image) for image in images]
    if not found:
        raise HwsearchError("an engine was called without an image", fix="Give one or more")
    return found


def _read(image: Image) -> np.ndarray:
    if isinstance(image, str | Path):
        try:
            return decode(Path(image).read_bytes(), str(image))
        except OSError as cause:
            raise HwsearchError(
                f"the image cannot be read: {cause.strerror}", where=Path(image)
            ) from cause
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise HwsearchError(
            f"an image is {image.dtype}{list(image.shape)}",
            fix="Give uint8[H, W, 3], red, green and blue from 0 to 255, or the path of a file",
        )
    return image


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

    def __call__(self, images: Images) -> np.ndarray:
        """Computes embeddings of images as a camera or a file gives them.

        Args:
            images: uint8[H, W, 3], uint8[N, H, W, 3], the path of an image file, or a sequence of
                either; of any size.

        Returns:
            float32[N, E], one row an image.

        Raises:
            HwsearchError: If the engine gives feature maps, or a file cannot be read.
        """
        names = [output.name for output in self.manifest.outputs]
        if len(names) > 1 and EMBEDDING not in names:
            raise HwsearchError(
                f"this engine gives {', '.join(names)} instead of one embedding",
                fix="Call engine.outputs(images), which returns them by name",
            )
        found = self.outputs(images)[EMBEDDING if EMBEDDING in names else names[0]]
        return found.reshape(len(found), -1)

    def classify(self, images: Images) -> list[dict[str, float]]:
        """Tells the classes of images.

        Args:
            images: As for a call.

        Returns:
            For each image the probability of each class, by name, the most likely one first.

        Raises:
            HwsearchError: If the engine tells no classes, or a file cannot be read.
        """
        classifier = self.manifest.classifier
        if classifier is None:
            raise HwsearchError(
                "this engine tells no classes", fix="Deploy it again with --labelled"
            )
        scores_NC = self.outputs(images)["scores"].astype(np.float64)
        odds_NC = np.exp(scores_NC - scores_NC.max(axis=1, keepdims=True))
        shares_NC = odds_NC / odds_NC.sum(axis=1, keepdims=True)
        return [
            {classifier.classes[at]: float(row[at]) for at in np.argsort(-row, kind="stable")}
            for row in shares_NC
        ]

    def detect(self, images: Images, *, least_score: float = 0.3) -> list[list[Box]]:
        """Finds boxes in images.

        Args:
            images: As for a call.
            least_score: Boxes below are left out.

        Returns:
            For each image its boxes, the most likely first, in pixels of the image as given; only
            its centre square is looked at.

        Raises:
            HwsearchError: If the engine finds no boxes, or a file cannot be read.
        """
        classes = self._require_dense("detection")
        pixels = _pixels(images)
        found = self.outputs(pixels)
        return [
            boxes_of(scores_CGG, corners_4GG, classes, image.shape[:2], least_score)
            for scores_CGG, corners_4GG, image in zip(
                found["scores"], found["boxes"], pixels, strict=True
            )
        ]

    def segment(self, images: Images) -> np.ndarray:
        """Tells the class of each pixel of the centre square, scaled to the engine's input.

        Args:
            images: As for a call.

        Returns:
            uint8[N, S, S], places in `manifest.dense.classes`.

        Raises:
            HwsearchError: If the engine tells no pixels, or a file cannot be read.
        """
        self._require_dense("segmentation")
        return self.outputs(images)["scores"].argmax(1).astype(np.uint8)

    def _require_dense(self, task: str) -> tuple[str, ...]:
        dense = self.manifest.dense
        if dense is None or dense.task != task:
            raise HwsearchError(
                f"this engine has no head for {task}",
                fix=f"Deploy it again with --labelled, for --task {task}",
            )
        return dense.classes

    def outputs(self, images: Images) -> dict[str, np.ndarray]:
        """Computes all outputs, float32[N, ...] by name, such as feature maps [N, C, H, W].

        Args:
            images: As for a call.

        Raises:
            HwsearchError: If a file cannot be read.
        """
        takes, names = self.manifest.input, [output.name for output in self.manifest.outputs]
        prepared = np.stack([prepare(image, takes.side) for image in _pixels(images)])
        found = compute(
            self._engine,
            input_of(takes, prepared),
            input_name=takes.name,
            outputs=names,
            batch=takes.batch,
            any_batch=takes.any_batch,
        )
        return dict(zip(names, found, strict=True))

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
        trust: Whether to load an engine that was built elsewhere, or by another version of its
            runtime.

    Raises:
        HwsearchError: If a file is missing or damaged, or the engine was built elsewhere or by
            another version.
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
    _check_version(folder, manifest, trust=trust)
    return LoadedEngine(folder, manifest)


def _check_version(folder: Path, manifest: Manifest, *, trust: bool) -> None:
    """Refuses an engine that another version of its runtime has built."""
    runtime = get_runtime(manifest.runtime)
    built_by = manifest.versions.get(runtime.name, "an unknown version")
    if built_by != runtime.version and not trust:
        raise HwsearchError(
            f"this engine was built by {runtime.name} {built_by}; here is {runtime.version}",
            where=folder,
            fix="Deploy it again, install that version, or call hwsearch.load(folder, trust=True) "
            "if you have checked what it computes",
        )
