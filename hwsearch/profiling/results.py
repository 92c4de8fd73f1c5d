"""The results of a kit, read as if an enemy had written them."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hwsearch.device_profile import require_device_name
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields, read_journal
from hwsearch.kit.jobs import RESULTS
from hwsearch.kit.order import BEGINNING, KIND
from hwsearch.measurement import Visit
from hwsearch.measurement.samples import MAX_RAW, Window

MAX_BYTES, MAX_ROWS = 256 << 20, 1_000_000
"""Larger files are not read: a kit of hundreds of engines writes some ten megabytes an hour."""

MAX_MS = 1e7
"""No call takes almost three hours."""

_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_TEXT, _MOST_FIELDS, _MOST_REASON = 2000, 50, 300
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_FIX = "Bring the file back from the device again, unchanged"


class Asked(Protocol):
    """What a folder that travels asked for: a kit's job list, or the order of a build folder.

    Attributes:
        header: What all visits have in common, but for what the device itself decides.
        identity: Hash of the folder.
        jobs: File by job.
        built_from: Hashes of the files, by job or "reference NAME".
        ships: Heads and preprocessing among the jobs.
    """

    @property
    def header(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def jobs(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def built_from(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def ships(self) -> tuple[str, ...]: ...  # noqa: D102


Check = Callable[[dict[str, Any], Any], None]
"""Raises ValueError, KeyError or TypeError if a row is not what was asked for."""


@dataclass(frozen=True)
class Results:
    """Results that can be trusted to be well-formed.

    Attributes:
        header: The journal's header.
        rows: The journal's rows.
        data: The file's content up to its last complete line.
    """

    header: dict[str, Any]
    rows: list[dict[str, Any]]
    data: bytes


def read_results(path: Path, asked: Asked, more: Mapping[str, Check] | None = None) -> Results:
    """Reads the file of results that a kit or a build folder wrote.

    Args:
        path: The file.
        asked: What it was to measure.
        more: Checks of further kinds of rows, by the field that tells them.

    Raises:
        HwsearchError: If it is no such file, of another kit, or holds anything that the kit
            would not have written.
    """
    data = _read(path)
    try:
        header, rows = read_journal(path, KIND)
        _check_header(header, asked)
        _check_rows(rows, asked, more or {})
    except HwsearchError as error:
        raise HwsearchError(_shown(error.what), where=path, fix=_FIX) from error
    except _DAMAGED as cause:
        reason = _shown(cause.args[0]) if type(cause) is ValueError else "damaged"
        raise HwsearchError(f"the results are refused: {reason}", where=path, fix=_FIX) from cause
    whole = data.split(b"\n")[: len(rows) + 1]
    return Results(header, rows, b"\n".join(whole) + b"\n")


def _shown(reason: str) -> str:
    """Shortens a text that may hold anything, and leaves out what could steer the terminal."""
    return "".join(letter for letter in reason[:_MOST_REASON] if letter.isprintable())


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise HwsearchError("there are no results here", where=path, fix=_FIX)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise HwsearchError(f"{size >> 20} MiB are no results of a kit", where=path, fix=_FIX)
    data = path.read_bytes()
    if not data.startswith(BEGINNING):
        fix = f"Name the file {RESULTS} itself; archives are not opened"
        raise HwsearchError("these are no results of a kit", where=path, fix=fix)
    return data


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(what)


def _check_header(header: Mapping[str, Any], asked: Asked) -> None:
    _require(header["kit"] == asked.identity, "they are of another kit")
    decided = {"kit", "threads", "device", "fingerprint", "versions"}
    same = {name: value for name, value in asked.header.items() if name not in decided}
    found = {name: value for name, value in header.items() if name not in decided}
    fields = differing_fields(same, found)
    _require(not fields, "; ".join(fields))
    _require(decided <= set(header), "the header lacks fields")
    device = header["device"]
    _require(device == (asked.header["device"] or device), "the device has another name")
    require_device_name(device)
    threads = header["threads"]
    _require(type(threads) is int and 1 <= threads <= 4096, "threads is no count")
    _check_texts(header["fingerprint"])
    _check_texts(header["versions"])
    own = ("python", "numpy", asked.header["runtime"])  # as the device has them
    versions = {name: text for name, text in asked.header["versions"].items() if name not in own}
    _require(versions.items() <= header["versions"].items(), "versions differ")


def _check_texts(values: Mapping[str, str]) -> None:
    """Accepts a few short, printable texts by name."""
    _require(type(values) is dict and len(values) <= _MOST_FIELDS, "too many fields")
    for name, text in values.items():
        _check_text(name)
        _check_text(text)


def _check_text(text: object) -> None:
    sound = isinstance(text, str) and len(text) <= _MOST_TEXT and text.isprintable()
    _require(sound, "a text is too long or cannot be printed")


def _check_rows(rows: list[dict[str, Any]], asked: Asked, more: Mapping[str, Check]) -> None:
    _require(len(rows) <= MAX_ROWS, f"{len(rows)} rows are too many")
    checks: dict[str, Check] = {
        "visit": _check_visit,
        "crash": _check_crash,
        "again": _check_again,
        "jobs": _check_jobs,
        "ended": _check_end,
        "ships": _check_ships,
        **more,
    }
    seen: set[tuple[str, int]] = set()
    for number, row in enumerate(rows, 2):
        kind = next((name for name in checks if name in row), None)
        try:
            _require(kind is not None, "an unknown kind of row")
            checks[str(kind)](row, asked)
            if kind == "visit":
                _require((row["visit"], row["number"]) not in seen, "a visit stands twice")
                seen.add((row["visit"], row["number"]))
        except ValueError as cause:
            raise ValueError(f"line {number}: {cause.args[0]}") from cause
    _require(bool(seen), "there are no visits")
    _require(
        {row["visit"] for row in rows if "visit" in row} <= _built(rows), "engines lack hashes"
    )


def _built(rows: list[dict[str, Any]]) -> set[str]:
    return {job for row in rows for job in row.get("jobs", {})}


def _check_visit(row: dict[str, Any], asked: Asked) -> None:
    _require(row["visit"] in asked.jobs, "a visit of what the kit does not hold")
    visit = Visit.from_row(row)
    _require(visit.as_row() == row, "fields that a visit does not have")
    _require(type(visit.number) is int and visit.number >= 0, "a visit's number is no count")
    _check_number(visit.at, 0.0, 1e11, "time of a visit")
    _check_number(visit.seconds, 0.0, 1e6, "length of a visit")
    for window in (visit.window, *visit.before, *visit.after):
        _check_window(window)
    for name, value in visit.readings.as_dict().items():
        _check_number(value, -1e9, 1e9, name)
    _require(type(visit.noisy) is bool and type(visit.throttled) is bool, "a flag is no flag")


def _check_window(window: Window) -> None:
    _check_number(window.calls, 1, 1e9, "number of calls")
    for value_ms in window.quantiles_ms:
        _check_number(value_ms, 1e-7, MAX_MS, "milliseconds of a call")
    _require(list(window.quantiles_ms) == sorted(window.quantiles_ms), "quantiles out of order")
    _require(len(window.raw_us) == min(window.calls, MAX_RAW), "a wrong number of raw calls")
    for value_us in window.raw_us:
        _check_number(value_us, 1e-4, 1000 * MAX_MS, "microseconds of a call")


def check_hash(text: str) -> None:
    """Refuses what is no SHA-256; raises ValueError or TypeError."""
    _require(bool(_HASH.fullmatch(text)), "the hash of an engine is none")


def _check_number(value: float, low: float, high: float, what: str) -> None:
    sound = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
    _require(sound, f"the {what} cannot be {str(value)[:30]}")


def _check_crash(row: dict[str, Any], asked: Asked) -> None:
    _require(set(row) == {"crash", "reason"}, "fields that a crash does not have")
    _require(row["crash"] in asked.jobs, "a crash of what the kit does not hold")
    _check_text(row["reason"])


def _check_again(row: dict[str, Any], asked: Asked) -> None:
    _require(set(row) == {"again"}, "fields that a new try does not have")
    _require(set(row["again"]) <= set(asked.jobs), "a new try of what the kit does not hold")


def _check_jobs(row: dict[str, Any], asked: Asked) -> None:
    _require(set(row) == {"built", "jobs"}, "fields that a build does not have")
    _check_number(row["built"], 0.0, 1e7, "time of building")
    for job, (model, engine) in row["jobs"].items():
        known = asked.built_from.get(job)
        _require(known == model, "an engine of another model than the kit holds")
        check_hash(engine)


def _check_end(row: dict[str, Any], asked: Asked) -> None:
    fields = {"ended", "budget_seconds", "seconds", "provider"}
    _require(set(row) == fields, "fields that an end does not have")
    _require(row["ended"] in ("settled", "budget"), "an unknown end")
    for name in ("budget_seconds", "seconds"):
        _check_number(row[name], 0.0, 1e9, name)
    _check_text(row["provider"])


def _check_ships(row: dict[str, Any], asked: Asked) -> None:
    _require(row == {"ships": list(asked.ships)}, "what ships differs")
