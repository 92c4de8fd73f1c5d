"""What every source of images offers, and what happens to images that cannot be read."""

import hashlib
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.progress import console

_NAMED = 5
"""How many corrupt images are named before the rest is only counted."""


class CorruptImage(HwsearchError):
    """One image that cannot be decoded; names it."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"image '{name}' cannot be read: {reason}")

    def __reduce__(self) -> tuple[type["CorruptImage"], tuple[str, str]]:
        return CorruptImage, (self.name, self.reason)


class Source(Protocol):
    """A fixed, ordered set of images, read by position; cheap to pickle and safe to fork."""

    @property
    def name(self) -> str:
        """Returns what the user wrote, for messages."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the names of the classes; a label is an index into them. Empty without labels."""
        ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> np.ndarray:
        """Decodes one image, uint8[H, W, 3].

        Raises:
            CorruptImage: If its bytes are damaged or not an image.
        """
        ...

    def label(self, index: int) -> int | None:
        """Returns the class of one image, or None if it has none."""
        ...

    def sample_name(self, index: int) -> str:
        """Returns the name of one image, unique in the source and fit to be printed and written."""
        ...

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the names and byte counts of all images."""
        ...


def readable_name(name: bytes) -> str:
    r"""Returns a file's name fit to be printed and written: what is no UTF-8 stands as \xe9."""
    return name.decode(errors="backslashreplace")


def fingerprint_of(entries: Iterable[tuple[bytes, int]]) -> str:
    """Hashes the names and byte counts of images, in order."""
    digest = hashlib.sha256()
    for name, size in entries:
        digest.update(b"%s\0%d\n" % (name, size))
    return digest.hexdigest()


class CorruptLog:
    """Names and counts the corrupt images of a source; stops the run past a stated share.

    Args:
        source: The source that is being read.
        max_share: Largest tolerated share of the source's images, 0 to 1.
    """

    def __init__(self, source: Source, max_share: float) -> None:
        self._source, self._max_share = source, max_share
        self._reasons: dict[int, str] = {}

    @property
    def indices(self) -> tuple[int, ...]:
        """Positions of the corrupt images met so far, in rising order."""
        return tuple(sorted(self._reasons))

    def add(self, index: int, reason: str) -> None:
        """Counts one corrupt image, once however often it is met.

        Raises:
            HwsearchError: If the share of corrupt images is past the limit.
        """
        if index in self._reasons:
            return
        self._reasons[index] = reason
        self._check()
        count = len(self._reasons)
        if count <= _NAMED:
            name = self._source.sample_name(index)
            console.print(f"Left out corrupt image {name}: {reason}", markup=False)
        if count == _NAMED:
            console.print("Further corrupt images are left out without a line each.")

    def hear(self, indices: Iterable[int]) -> None:
        """Counts, without naming them, the corrupt images that any process has met.

        Raises:
            HwsearchError: If the share of corrupt images is past the limit.
        """
        for index in indices:
            self._reasons.setdefault(index, "another process met it")
        self._check()

    def _check(self) -> None:
        count, total = len(self._reasons), len(self._source)
        if count <= self._max_share * total:
            return
        some = list(self._reasons.items())[:_NAMED]
        named = [f"{self._source.sample_name(index)} ({reason})" for index, reason in some]
        more = ", …" if count > len(named) else ""
        raise HwsearchError(
            f"{count} of {total} images cannot be read, more than the allowed "
            f"{self._max_share:.2%}: {', '.join(named)}{more}",
            where=self._source.name,
            fix="Repair or remove them, or allow more with --max-corrupt-share where there is one",
        )
