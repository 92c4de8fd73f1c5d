"""The append-only log: checksummed JSON Lines that survive kill -9, torn writes and full disks."""

import errno
import fcntl
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.errors import HwsearchError

Json = dict[str, Any]
"""One line's content: strings, finite numbers, booleans, None, lists and objects of them."""

FORMAT = "hwsearch-journal"
SCHEMA = 1
LOCK_SECONDS = 3.0
"""How long a writer waits for the one before it to end (a killed parent's child takes a moment)."""


class Busy(HwsearchError):
    """Another process writes the journal, or trains in the folder, now."""


_ELSEWHERE = "Free some space or use another --out"
_START = b'{"crc32":"'
_BODY = len(_START) + 8 + len('","row":')


def _line(body: bytes) -> bytes:
    return b'%s%08x","row":%s}' % (_START, zlib.crc32(body), body)


def _encode(row: Mapping[str, Any]) -> bytes:
    return _line(json.dumps(row, separators=(",", ":"), allow_nan=False).encode()) + b"\n"


def _decode(line: bytes) -> Json | None:
    """Returns the row of a line without its newline, or None if the line is damaged."""
    body = line[_BODY:-1]
    if line != _line(body):
        return None
    try:
        row = json.loads(body)
    except (ValueError, RecursionError):  # made by something else, with the right checksum
        return None
    return row if isinstance(row, dict) else None


@dataclass(frozen=True)
class _Content:
    """What a file holds: the lines before the tear, and where they end."""

    header: Json | None
    rows: list[Json]
    good_bytes: int
    repaired: str | None


def _parse(path: Path, data: bytes, kind: str) -> _Content:
    lines = data.split(b"\n")
    unfinished = lines.pop()
    decoded = [_decode(line) for line in lines]
    torn = len(unfinished)
    if decoded and decoded[-1] is None:
        torn += len(lines[-1]) + 1
        decoded.pop()
    if None in decoded:
        raise HwsearchError(
            f"line {decoded.index(None) + 1} is damaged",
            where=path,
            fix="Restore the file from a copy, or delete it and run the command again",
        )
    rows = [row for row in decoded if row is not None]
    if not rows and data and not data.startswith(_START[: len(data)]):
        raise HwsearchError("not a journal", where=path, fix="Name another file or --out folder")
    repaired = f"{path}: {torn} bytes of an unfinished last line were dropped" if torn else None
    if not rows:
        return _Content(None, [], 0, repaired)
    return _Content(_header_of(path, rows[0], kind), rows[1:], len(data) - torn, repaired)


def _header_of(path: Path, line: Json, kind: str) -> Json:
    if line.get("format") != FORMAT or line.get("schema") != SCHEMA:
        found = f"{line.get('format')} version {line.get('schema')}"
        raise HwsearchError(
            f"this is {found}, not {FORMAT} version {SCHEMA}",
            where=path,
            fix="Use the hwsearch that wrote it, or another --out folder",
        )
    if line.get("kind") != kind:
        what = f"a journal of kind '{line.get('kind')}', not '{kind}'"
        raise HwsearchError(what, where=path, fix="Name another --out folder")
    return line["header"]


def read_journal(path: Path, kind: str) -> tuple[Json, list[Json]]:
    """Returns a journal's header and rows; an unfinished last line is left out, and stays.

    Args:
        path: The file.
        kind: What the journal must log, such as "profile".

    Raises:
        HwsearchError: If the file is missing, of another kind, or damaged before its last line.
    """
    if not path.is_file():
        raise HwsearchError(f"no {kind} journal here", where=path, fix="Check the folder's name")
    content = _parse(path, path.read_bytes(), kind)
    if content.header is None:
        raise HwsearchError("the journal is empty", where=path, fix="Run the command again")
    return content.header, content.rows


def read_begun(path: Path, kind: str) -> tuple[Json, list[Json]]:
    """Reads as `read_journal` does; all is empty where there is no file, or no whole line yet."""
    content = _parse(path, path.read_bytes() if path.is_file() else b"", kind)
    return content.header or {}, content.rows


def differing_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Names the fields in which two headers differ, as "name: old value, now new value"."""
    fields: list[str] = []
    for name in sorted({*old, *new}):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            fields += [f"{name}.{inner}" for inner in differing_fields(before, now)]
        elif before != now:
            fields.append(f"{name}: {before}, now {now}")
    return tuple(fields)


class Journal:
    """One writer's hold on an append-only log.

    Every line carries a CRC-32 and is on the disk when `append` returns.

    Attributes:
        path: The file.
        header: What the file was created with.
        rows: Everything appended so far, by earlier writers too.
        repaired: What was dropped from a torn end, to be told to the user, or None.
    """

    def __init__(self, path: Path, file: int, content: _Content, header: Json) -> None:
        self.path, self.header, self.rows = path, header, content.rows
        self.repaired = content.repaired
        self._file, self._bytes = file, content.good_bytes

    @classmethod
    def open(
        cls,
        path: Path,
        kind: str,
        header: Mapping[str, Any],
        *,
        fix: str = "Repeat the first run's options, or use another --out folder",
    ) -> "Journal":
        """Creates a journal or goes on with one, repairing a torn end.

        Args:
            path: The file; its folder is created.
            kind: What is logged, such as "profile".
            header: What all rows have in common; must equal the header of an existing file.
            fix: What to do when the headers differ, in the words of the command line.

        Raises:
            Busy: If another process writes the file.
            HwsearchError: If the headers differ, a line before the last is damaged, or the file
                cannot be opened.
        """
        fresh: Json = json.loads(json.dumps(header, allow_nan=False))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as cause:
            raise _unwritable(path, cause, _ELSEWHERE) from cause
        try:
            _lock(path, file)
            content = _parse(path, path.read_bytes(), kind)
            os.ftruncate(file, content.good_bytes)
            journal = cls(path, file, content, content.header or fresh)
            if content.header is None:
                line = {"format": FORMAT, "schema": SCHEMA, "kind": kind, "header": fresh}
                journal._write(_encode(line))
                _sync_folder(path.parent)
            elif fields := differing_fields(content.header, fresh):
                raise HwsearchError(
                    f"this was made with other options ({'; '.join(fields)})", where=path, fix=fix
                )
        except BaseException:
            os.close(file)
            raise
        return journal

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one row; it is on the disk when this returns.

        Raises:
            HwsearchError: If the disk is full or fails; the file stays valid.
        """
        line = _encode(row)
        self._write(line)
        self.rows.append(json.loads(line)["row"])

    def _write(self, line: bytes) -> None:
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as cause:
            os.ftruncate(self._file, self._bytes)
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "Free some space" if full else "Check the disk"
            fix = f"{remedy} and run the command again; it goes on from here"
            raise _unwritable(self.path, cause, fix) from cause
        self._bytes += len(line)

    def close(self) -> None:
        """Lets the next writer in; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Json]:
        return iter(self.rows)


def _lock(path: Path, file: int) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as cause:
            if time.monotonic() > deadline:
                fix = "Wait for it to end, stop it, or use another --out folder"
                raise Busy("another hwsearch writes it now", where=path, fix=fix) from cause
            time.sleep(0.05)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces a file's content so that a crash leaves the old or the new, never a mixture.

    Args:
        path: The file; its folder is created.
        data: The whole content; text is written as UTF-8.

    Raises:
        HwsearchError: If the disk is full or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as cause:
        with suppress(OSError):
            part.unlink()
        raise _unwritable(path, cause, _ELSEWHERE) from cause
    _sync_folder(path.parent)


def _unwritable(path: Path, cause: OSError, fix: str) -> HwsearchError:
    return HwsearchError(f"cannot write: {cause.strerror}", where=path, fix=fix)


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
