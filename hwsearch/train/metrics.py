"""`metrics.jsonl`: what training says about itself, never ahead of the checkpoint on resume."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from math import inf
from pathlib import Path
from types import TracebackType

from hwsearch.errors import HwsearchError
from hwsearch.journal import Busy
from hwsearch.train.tensorboard import EventFile

TENSORBOARD_NAME = "tensorboard"


class Metrics:
    """One run's hold on its log of steps; a second process is refused.

    Args:
        path: The file; its folder is created.
        tensorboard: Also write curves for TensorBoard beside it, from `cut` on.

    Raises:
        Busy: If another process trains in the folder.
        HwsearchError: If it cannot be written.
    """

    def __init__(self, path: Path, *, tensorboard: bool = False) -> None:
        self._path, self._tensorboard = path, tensorboard
        self._events: EventFile | None = None
        with self._disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, nothing is left to fail when the file is closed.
            self._file = path.open("a+b", buffering=0)
        try:
            # A record lock ends with this process, whatever its forked workers do.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            self._file.close()
            raise Busy(
                "another hwsearch trains in this folder now",
                where=path.parent,
                fix="Wait for it to end, stop it, or use another --out",
            ) from cause

    def cut(self, step: int) -> None:
        """Drops every line after a step, and all from the first damaged or unfinished one on.

        Raises:
            HwsearchError: If the disk is full or fails.
        """
        self._file.seek(0)
        lines = self._file.readall().splitlines(keepends=True)
        kept = list(takewhile(lambda line: _step_of(line) <= step, lines))
        with self._disk_errors():
            self._file.truncate(sum(map(len, kept)))
            if self._tensorboard:
                self._events = EventFile(
                    self._path.parent / TENSORBOARD_NAME, map(json.loads, kept)
                )

    def write(self, row: Mapping[str, float | str]) -> None:
        """Appends one line.

        Raises:
            HwsearchError: If the disk is full or fails.
        """
        rest = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        with self._disk_errors():
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._events is not None:
                self._events.write(row)

    def sync(self) -> None:
        """Returns when all lines are on the disk.

        Raises:
            HwsearchError: If the disk is full or fails.
        """
        with self._disk_errors():
            os.fsync(self._file.fileno())

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            remedy = "Free some space" if full else "Check the disk and its permissions"
            raise HwsearchError(
                f"cannot write: {cause.strerror}",
                where=self._path,
                fix=f"{remedy} and run the same command with --resume, or use another --out",
            ) from cause

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()


def _step_of(line: bytes) -> float:
    """Returns the step of a line, or infinity if the line is damaged or unfinished."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else inf
    except (ValueError, KeyError, TypeError, RecursionError):
        return inf
