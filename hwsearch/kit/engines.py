"""Engines on the machine that they are measured on: built once, found again by content."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Portable

_DONE = "built.json"

_COPIES, _ROOM_BYTES = 2, 16 << 20
"""Room that a build may take: copies of what it builds from, and for what else it writes."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(HwsearchError):
    """The disk is full, whatever an engine's build made of it."""


@dataclass(frozen=True)
class Built:
    """An engine that was built.

    Attributes:
        engine: Its main file.
        engine_sha256: Hash of the main file.
        size_bytes: Size of all its files.
        model_sha256: Hash of the file it was built from: ONNX or an exported program.
    """

    engine: Path
    engine_sha256: str
    size_bytes: int
    model_sha256: str


@dataclass(frozen=True)
class Engines:
    """A folder of engines of one runtime and precision.

    Attributes:
        folder: Safe to delete: it is filled again.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
    """

    folder: Path
    runtime: str
    precision: str

    def build_file(self, path: Path) -> Built:
        """Builds the engine of a file of the form that the runtime takes, or finds it built.

        Raises:
            NoRoom: If it failed and the disk is full.
            HwsearchError: If it failed for another reason.
        """
        if found := self.find_file(path):
            return found
        try:
            with self._alone(path):
                return self.find_file(path) or self._build(path)
        except (HwsearchError, OSError):
            self._require_room(path)  # runtimes do not tell why they could not write
            raise

    def find_file(self, path: Path) -> Built | None:
        """Returns the engine of a file if it has been built and is what it was."""
        note = self._folder_of(sha256_of(path)) / _DONE
        try:
            values = json.loads(note.read_text())
            built = Built(**{**values, "engine": note.parent / values["engine"]})
            now = self._size_bytes(built.engine), sha256_of(built.engine)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return built if now == (built.size_bytes, built.engine_sha256) else None

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Lets one process at a time build the engine of a file; the others wait for it."""
        lock = self._folder_of(sha256_of(path)).with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _build(self, path: Path) -> Built:
        runtime, digest = get_runtime(self.runtime), sha256_of(path)
        folder, options = self._folder_of(digest), BuildOptions(self.precision, cache=self.folder)
        shutil.rmtree(folder, ignore_errors=True)
        engine = runtime.build(Portable(**{runtime.takes: path}), folder, options)
        for file in runtime.files(engine):
            _sync(file)  # the note must not outlive a power cut that the engine did not
        built = Built(engine, sha256_of(engine), self._size_bytes(engine), digest)
        write_atomic(folder / _DONE, json.dumps(asdict(built) | {"engine": engine.name}))
        return built

    def _require_room(self, path: Path) -> None:
        """Refuses a disk that is full, or whose user may write no more: only writing tells."""
        size_bytes = _COPIES * path.stat().st_size + _ROOM_BYTES
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                for _ in range(0, size_bytes, 1 << 20):
                    file.write(bytes(1 << 20))
                os.fsync(file.fileno())
        except OSError as cause:
            if cause.errno not in _FULL:
                return
            raise NoRoom(
                f"no room for an engine: {cause.strerror}",
                where=self.folder,
                fix="Free some space; the same command goes on",
            ) from cause

    def _size_bytes(self, engine: Path) -> int:
        files = get_runtime(self.runtime).files(engine)
        return sum(file.stat().st_size for file in files)

    def _folder_of(self, digest: str) -> Path:
        version = get_runtime(self.runtime).version
        return self.folder / f"{self.runtime}-{version}-{self.precision}" / digest[:16]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
