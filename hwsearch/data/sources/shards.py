"""WebDataset tar shards, read by position: an index of offsets, and one read an image."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwsearch.data.sources.base import CorruptImage, fingerprint_of, readable_name
from hwsearch.data.sources.decode import decode
from hwsearch.data.sources.shard_index import ShardIndex, index_of, plain_tar
from hwsearch.errors import HwsearchError

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Endings of the files that are taken for shards."""


class ShardSource:
    """Samples of tar shards in the order of the shards and of the members in each.

    A sample is the members of one shard that share a name up to the first dot of the file name:
    an image, and its class as an integer in a `.cls` member if it has one. Compressed shards are
    unpacked once into the cache folder (see `shard_index`).

    Args:
        name: What the user wrote, for messages.
        shards: The files, in order.

    Raises:
        HwsearchError: If a file is not a readable tar, or none of them holds an image.
    """

    def __init__(self, name: str, shards: Sequence[Path]) -> None:
        self.name = name
        for shard in shards:
            if not shard.name.lower().endswith(SHARD_SUFFIXES):
                raise HwsearchError(
                    "not a tar shard", where=shard, fix=f"Known: {', '.join(SHARD_SUFFIXES)}"
                )
        self._tars = [plain_tar(shard) for shard in shards]
        indices = [
            index_of(tar, shown_as=shard) for tar, shard in zip(self._tars, shards, strict=True)
        ]
        if not any(len(index.keys) for index in indices):
            raise HwsearchError(
                "no images in the shards", where=name, fix="Members must end in .jpg or .png"
            )
        self._join(indices)
        self._shard_names = [readable_name(os.fsencode(shard.name)) for shard in shards]
        self.classes = tuple(str(label) for label in range(int(self._labels.max()) + 1))

    def _join(self, indices: Sequence[ShardIndex]) -> None:
        counts = [len(index.keys) for index in indices]
        self._shard = np.repeat(np.arange(len(indices), dtype=np.int32), counts)
        keys = (key for index in indices for key in index.keys)
        self._keys = np.array([key.encode(errors="surrogateescape") for key in keys])
        self._offsets = np.concatenate([index.offsets for index in indices])
        self._sizes = np.concatenate([index.sizes for index in indices])
        self._labels = np.concatenate([index.labels for index in indices])

    def __len__(self) -> int:
        return len(self._keys)

    def image(self, index: int) -> np.ndarray:
        """Decodes one image, uint8[H, W, 3]; raises CorruptImage if it is damaged."""
        name = self.sample_name(index)
        try:
            # Opened for each read: a descriptor would not survive pickling to a worker.
            file = os.open(self._tars[self._shard[index]], os.O_RDONLY)
            try:
                data = os.pread(file, int(self._sizes[index]), int(self._offsets[index]))
            finally:
                os.close(file)
        except OSError as cause:
            raise CorruptImage(name, str(cause.strerror)) from cause
        return decode(data, name)

    def label(self, index: int) -> int | None:
        """Returns the integer of the sample's `.cls` member, or None if it has none."""
        label = int(self._labels[index])
        return None if label < 0 else label

    def sample_name(self, index: int) -> str:
        """Returns the shard's file name and the sample's key."""
        return f"{self._shard_names[self._shard[index]]}/{readable_name(self._keys[index])}"

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the keys and byte counts of all images."""
        return fingerprint_of(
            (bytes(key), int(size)) for key, size in zip(self._keys, self._sizes, strict=True)
        )
