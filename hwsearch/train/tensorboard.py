"""Curves for TensorBoard, made of the rows of `metrics.jsonl`, which remain the truth."""

import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PATTERN = "events.out.tfevents.*"


def is_installed() -> bool:
    """Says whether the optional package is here."""
    return find_spec("tensorboard") is not None


class EventFile:
    """The one event file of a run.

    A resumed run writes it anew, so it has each step once and none after the checkpoint; a
    TensorBoard that is open meanwhile drops what it had.

    Args:
        folder: Where it lies; created, and emptied of older event files.
        rows: What was logged so far.
    """

    def __init__(self, folder: Path, rows: Iterable[Mapping[str, float | str]]) -> None:
        self._proto: Any = import_module("tensorboard.compat.proto.event_pb2")
        self._summary: Any = import_module("tensorboard.compat.proto.summary_pb2")
        writer: Any = import_module("tensorboard.summary.writer.record_writer")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(_PATTERN):
            old.unlink()
        path = folder / _PATTERN.replace("*", f"{time.time():.0f}.hwsearch")
        # Without a buffer, a full disk shows where it is written to and closing cannot fail.
        self._records = writer.RecordWriter(path.open("wb", buffering=0))
        self._add(file_version="brain.Event:2")
        self._add(session_log=self._proto.SessionLog(status=self._proto.SessionLog.START))
        for row in rows:
            self.write(row)

    def write(self, row: Mapping[str, float | str]) -> None:
        """Appends one row; every number but the step becomes a point of the curve of its name."""
        values = [
            self._summary.Summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if name != "step" and not isinstance(value, str)
        ]
        self._add(step=int(row["step"]), summary=self._summary.Summary(value=values))

    def close(self) -> None:
        """Ends the file."""
        self._records.close()

    def _add(self, **fields: object) -> None:
        event = self._proto.Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
