"""Latency tables: one JSON Lines file a device, runtime, precision, batch and thread count."""

import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwsearch.device import detect, fingerprint, told_difference
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.folders import data_folders
from hwsearch.journal import write_atomic
from hwsearch.latency.rows import Row, TableHeader, header_from_dict, row_as_dict, row_from_dict

FORMAT = "hwsearch-latency-table"
SCHEMA = 4
"""Version 1: the first; 2: p99, pace and sensors; 3: tables that start from others; 4: a checksum
of the first line, too."""

_READABLE = (3, SCHEMA)

FOLDER = "latency_tables"

_AGAIN = "Run hwsearch profile again: it writes the table anew from its journal"
_DAMAGED = (ValueError, KeyError, TypeError, RecursionError)
"""What reading a damaged line raises; the last where brackets are nested too deeply."""


@dataclass(frozen=True)
class Table:
    """The sorted summary of one profiling journal.

    Attributes:
        path: The file.
        header: What all rows have in common.
        rows: Blocks, then networks, each sorted by key.
    """

    path: Path
    header: TableHeader
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.header.name

    @property
    def space(self) -> str:
        """Name of the space."""
        return self.header.space

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.header.runtime

    @property
    def precision(self) -> str:
        """Numbers that the engines compute in."""
        return self.header.precision

    @property
    def batch(self) -> int:
        """Images a call."""
        return self.header.batch

    @property
    def threads(self) -> int:
        """CPU threads a call."""
        return self.header.threads

    @property
    def pace_hz(self) -> float:
        """Calls a second; 0 means back to back."""
        return self.header.pace_hz

    @property
    def device(self) -> str:
        """Name of the device profile."""
        return self.header.device

    @property
    def blocks(self) -> tuple[Row, ...]:
        """Rows of single blocks."""
        return tuple(row for row in self.rows if row.kind == "block")

    def networks(self, split: str) -> tuple[Row, ...]:
        """Rows of whole networks of a split, "evidence" or "heldout"."""
        return tuple(row for row in self.rows if row.kind == "network" and row.split == split)

    def write(self) -> None:
        """Writes the file, sorted, all or nothing."""
        rows = in_order(self.rows)
        body = "".join(_dumps(row_as_dict(row)) + "\n" for row in rows)
        first = {
            "format": FORMAT,
            "schema": SCHEMA,
            "units": {"latency": "ms"},
            **asdict(self.header),
            "rows": len(rows),
            "rows_crc32": _checksum(body),
        }
        first["header_crc32"] = _checksum(_dumps(first))
        write_atomic(self.path, _dumps(first) + "\n" + body)

    @classmethod
    def read(cls, path: Path) -> "Table":
        """Reads a table; an unfinished end is left out and said on standard error.

        Raises:
            HwsearchError: If there is no such file, it is no table, or something was changed.
        """
        try:
            first, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            fields = json.loads(first)
            if fields["format"] != FORMAT:
                raise ValueError
            schema = fields["schema"]
        except FileNotFoundError as cause:
            raise HwsearchError("there is no latency table here", where=path) from cause
        except (OSError, *_DAMAGED, AttributeError) as cause:
            raise HwsearchError("this is no latency table", where=path) from cause
        if schema not in _READABLE:
            raise HwsearchError(
                "the table is of another version", where=path, fix="Run hwsearch profile again"
            )
        header, count, checksum = _read_first(path, fields)
        return cls(path, header, _read_rows(path, lines, count, checksum))


def in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Returns the rows as a table holds them."""
    return tuple(sorted(rows, key=lambda row: (row.kind, row.key)))


def _dumps(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def _read_rows(path: Path, lines: Sequence[str], count: int, checksum: str) -> tuple[Row, ...]:
    rows: list[Row] = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(row_from_dict(json.loads(line)))
        except _DAMAGED as cause:
            if number == len(lines) + 1:
                break
            raise HwsearchError(f"line {number} is damaged", where=path, fix=_AGAIN) from cause
    if len(rows) < count:
        missing = f"{count - len(rows)} of {count} rows are missing at its torn end"
        print(f"{path}: {missing}; going on without. {_AGAIN}.", file=sys.stderr)
    elif _checksum("".join(lines)) != checksum:
        raise HwsearchError("rows were changed by hand or damaged", where=path, fix=_AGAIN)
    return tuple(rows)


def _read_first(path: Path, values: dict[str, Any]) -> tuple[TableHeader, int, str]:
    """Returns the header, the number of rows and their checksum, as the first line has them."""
    try:
        if values["schema"] == SCHEMA:
            checksum = values.pop("header_crc32")
            if _checksum(_dumps(values)) != checksum:
                raise ValueError
        count, rows_checksum = int(values.pop("rows")), values.pop("rows_crc32")
        for name in ("format", "schema", "units"):
            del values[name]
        return header_from_dict(values), count, rows_checksum
    except _DAMAGED as cause:
        raise HwsearchError("line 1 is damaged", where=path, fix=_AGAIN) from cause


def require_this_device(table: Table) -> None:
    """Refuses a table that was measured on another device than this one."""
    if fields := told_difference(table.header.fingerprint, fingerprint()):
        raise HwsearchError(
            f"the table is of another device ({fields})",
            where=table.path,
            fix=f"Measure this one: hwsearch profile --space {table.space} "
            f"--runtime {table.runtime}",
        )


def table_folders(tables_dir: Path | None = None) -> Iterator[Path]:
    """Yields the folders that tables are looked up in, nearest first.

    Args:
        tables_dir: The user's `--tables-dir`.
    """
    candidates = (tables_dir, Path(FOLDER), _user_folder(), *data_folders(FOLDER))
    yield from dict.fromkeys(path for path in candidates if path is not None and path.is_dir())


def _user_folder() -> Path:
    """Where programs keep a user's data on this platform."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library/Application Support/hwsearch" / FOLDER
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "hwsearch" / FOLDER


def find_table(text: str, tables_dir: Path | None = None) -> Path:
    """Finds a table by path, by name, by "device/name", or by how one name alone starts.

    Args:
        text: What the user wrote.
        tables_dir: The user's `--tables-dir`, searched first.

    Of tables of one name, that of this device comes first.

    Raises:
        HwsearchError: If there is none, or several have that name or start like that.
    """
    if Path(text).is_file():
        return Path(text)
    wanted = text.removesuffix(".jsonl")
    folders = [
        {f"{path.parent.name}/{path.stem}": path for path in folder.glob("*/*.jsonl")}
        for folder in table_folders(tables_dir)
    ]
    for paths in folders:
        if found := [name for name in paths if wanted in (name, name.partition("/")[2])]:
            return _only(found, paths, text)
    for paths in folders:
        if found := [name for name in paths if name.partition("/")[2].startswith(f"{wanted}-")]:
            return _only(found, paths, text)
    known = {name for paths in folders for name in paths}
    if not known:
        raise HwsearchError(
            f"there is no latency table '{text}', nor any other",
            fix="Measure one with hwsearch profile, or name its folder with --tables-dir",
        )
    raise unknown_name("latency table", text, known)


def _only(found: Sequence[str], paths: Mapping[str, Path], text: str) -> Path:
    if len(found) > 1:
        device = detect().name
        here = [name for name in found if name.partition("/")[0] == device]
        found = here if len(here) == 1 else found
    if len(found) > 1:
        raise HwsearchError(
            f"several latency tables are called '{text}'",
            fix=f"Choose one: {', '.join(sorted(found))}",
        )
    return paths[found[0]]
