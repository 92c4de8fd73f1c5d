"""A folder of image files; sub-folders, where there are any, are the classes."""

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np

from hwsearch.data.sources.base import CorruptImage, fingerprint_of, readable_name
from hwsearch.data.sources.decode import IMAGE_SUFFIXES, decode
from hwsearch.errors import HwsearchError


class FolderSource:
    """Images of a folder and its sub-folders, sorted by path; hidden files are passed over.

    The class of an image is the first folder on its way from the root; images that lie in the
    root itself have none. Links to folders are followed.

    Args:
        root: The folder.

    Raises:
        HwsearchError: If there is no image in it.
    """

    def __init__(self, root: Path) -> None:
        self._root, self.name = root, str(root)
        paths = sorted(image_paths(root, _refuse))
        if not paths:
            raise HwsearchError(
                "no images in the folder",
                where=root,
                fix=f"Known endings: {', '.join(sorted(IMAGE_SUFFIXES))}, or .tar shards",
            )
        encoded = [os.fsencode(path) for path in paths]
        tops = [readable_name(path.rpartition(b"/")[0].partition(b"/")[0]) for path in encoded]
        self.classes = tuple(sorted(set(tops) - {""}))
        label_of = {name: label for label, name in enumerate(self.classes)} | {"": -1}
        # Arrays of bytes, not lists: worker processes then share them without copying.
        self._paths = np.array(encoded)
        self._labels = np.array([label_of[top] for top in tops], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._paths)

    def image(self, index: int) -> np.ndarray:
        """Decodes one image, uint8[H, W, 3]; raises CorruptImage if it is damaged or gone."""
        name = self.sample_name(index)
        try:
            data = (self._root / os.fsdecode(self._paths[index])).read_bytes()
        except OSError as cause:
            raise CorruptImage(name, str(cause.strerror)) from cause
        return decode(data, name)

    def label(self, index: int) -> int | None:
        """Returns the position of the image's sub-folder in `classes`, or None."""
        label = int(self._labels[index])
        return None if label < 0 else label

    def sample_name(self, index: int) -> str:
        """Returns the path of an image under the root."""
        return readable_name(self._paths[index])

    @cached_property
    def _fingerprint(self) -> str:
        sizes = (_size(self._root / os.fsdecode(path)) for path in self._paths)
        return fingerprint_of(zip((bytes(path) for path in self._paths), sizes, strict=True))

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the paths and byte counts of all images."""
        return self._fingerprint


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link to nowhere; reading it will say so
        return -1


def _refuse(cause: OSError) -> NoReturn:
    raise HwsearchError(
        f"cannot look into the folder: {cause.strerror}",
        where=cause.filename,
        fix="Let this user read it, or remove it",
    ) from cause


def _leads_back(folder: Path, root: Path) -> bool:
    """Says whether a folder is, by a link, one of those on the way to it from the root."""
    return any(folder.samefile(above) for above in folder.parents if above.is_relative_to(root))


def image_paths(root: Path, unreadable: Callable[[OSError], object] | None = None) -> Iterator[str]:
    """Yields the path under a folder of each image in it and its sub-folders, in no order.

    Args:
        root: The folder.
        unreadable: Called where a folder cannot be looked into; by default it is passed over.
    """
    for folder, subfolders, files in os.walk(root, onerror=unreadable, followlinks=True):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and not _leads_back(Path(folder, name), root)
        ]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(folder, name).relative_to(root).as_posix()
