"""`metrics.jsonl`: what training says about itself, never ahead of the checkpoint on resume."""

import fcntl
import json
import os
from collections.abc import Mapping
from math import inf
from pathlib import Path
from types import TracebackType

from hwsearch.errors import HwsearchError


class Metrics:
    """One run's hold on its log of steps; a second process is refused.

    Args:
        path: The file; its folder is created.

    Raises:
        HwsearchError: If another process trains in the folder.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a+b")
        try:
            # A record lock ends with this process, whatever its forked workers do.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            self._file.close()
            raise HwsearchError(
                "another hwsearch trains in this folder now",
                where=path.parent,
                fix="Wait for it to end, stop it, or use another --out",
            ) from cause

    def cut(self, step: int) -> None:
        """Drops every line after a step, and all from the first damaged or unfinished one on."""
        self._file.seek(0)
        kept = 0
        for line in self._file:
            if _step_of(line) > step:
                break
            kept += len(line)
        self._file.truncate(kept)

    def write(self, row: Mapping[str, float]) -> None:
        """Appends one line.

        Raises:
            HwsearchError: If the disk is full or fails.
        """
        try:
            self._file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as cause:
            raise HwsearchError(
                f"cannot write: {cause.strerror}",
                where=self._path,
                fix="Free some space and run the same command with --resume",
            ) from cause

    def sync(self) -> None:
        """Returns when all lines are on the disk."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _step_of(line: bytes) -> float:
    """Returns the step of a line, or infinity if the line is damaged or unfinished."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else inf
    except (ValueError, KeyError, TypeError):
        return inf
