"""Images that a file of annotations lists, as a source like any other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwsearch.data.sources.base import CorruptImage, fingerprint_of
from hwsearch.data.sources.decode import decode


class ListedSource:
    """Images by path, without classes.

    Args:
        name: What the user wrote, for messages.
        paths: The files.
    """

    classes: tuple[str, ...] = ()

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name, self._paths = name, tuple(paths)

    def __len__(self) -> int:
        return len(self._paths)

    def image(self, index: int) -> np.ndarray:
        """Decodes one image, uint8[H, W, 3]; raises CorruptImage if it is damaged or gone."""
        path = self._paths[index]
        try:
            return decode(path.read_bytes(), str(path))
        except OSError as cause:
            raise CorruptImage(str(path), str(cause.strerror)) from cause

    def label(self, index: int) -> None:
        """Returns None: an image as a whole has no class."""
        return

    def sample_name(self, index: int) -> str:
        """Returns the path of an image."""
        return str(self._paths[index])

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the names and byte counts of all images."""
        return fingerprint_of(
            (path.name.encode(), path.stat().st_size if path.is_file() else -1)
            for path in self._paths
        )


def square_of(width: float, height: float) -> tuple[float, float, float]:
    """Returns left, top and side of the centre square that `prepare` cuts out of an image."""
    side = min(width, height)
    return (width - side) / 2, (height - side) / 2, side
