"""What a teacher said of the target images, kept on disk and checked before it is used again."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hwsearch.journal import write_atomic

Arrays = dict[str, np.ndarray]


class FeatureCache:
    """Features in parts, one a batch of images, each a file, so that memory holds one at a time.

    Args:
        folder: Where the files are; None keeps the parts in memory.
        key: All that the features depend on.
        parts: How many parts there are.
    """

    def __init__(self, folder: Path | None, key: Mapping[str, Any], parts: int) -> None:
        self._folder, self._key = folder, json.dumps(key, sort_keys=True)
        self._parts = parts
        self._held: list[Arrays] = []

    def fill(self, compute: Callable[[], Iterable[Arrays]]) -> None:
        """Computes all parts, unless all are there and none is damaged or of other features."""
        if self._folder and all(self._read(part) is not None for part in range(self._parts)):
            return
        for part, arrays in enumerate(compute()):
            if self._folder:
                write_atomic(self._path(part), save(arrays, self._about(part, arrays)))
            else:
                self._held.append(arrays)

    def __getitem__(self, part: int) -> Arrays:
        """Returns one part, which `fill` has made sure of."""
        arrays = self._read(part) if self._folder else self._held[part]
        assert arrays is not None, "the cache was changed while it was in use"
        return arrays

    def _path(self, part: int) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(self._key.encode()).hexdigest()[:16]
        return self._folder / f"teacher-{name}-{part}.safetensors"

    def _about(self, part: int, arrays: Arrays) -> dict[str, str]:
        digest = hashlib.sha256(f"{self._key}|{part}".encode())
        for name in sorted(arrays):
            digest.update(f"|{name}{arrays[name].shape}|".encode())
            digest.update(np.ascontiguousarray(arrays[name]).data)
        return {"sha256": digest.hexdigest()}

    def _read(self, part: int) -> Arrays | None:
        """Returns a part, or nothing if it is not there, damaged or something else."""
        try:
            with safe_open(self._path(part), framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                about = file.metadata()
        except (FileNotFoundError, SafetensorError):
            return None
        return arrays if about == self._about(part, arrays) else None
