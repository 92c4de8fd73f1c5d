"""Results of a kit as an enemy would send them: each is refused in one line, nothing written."""

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kits import Measured, imported

from hwsearch.kit.jobs import JOBS, RESULTS
from hwsearch.profiling import results as results_module

Row = dict[str, Any]


def line_of(body: str) -> bytes:
    """A journal line with the right checksum, whatever its content."""
    return b'{"crc32":"%08x","row":%s}\n' % (zlib.crc32(body.encode()), body.encode())


def changed_row(kind: str, change: Callable[[Row], object]) -> Callable[[bytes], bytes]:
    """Changes the first row that has a field, checksum and all."""

    def edit(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        index = next(i for i, line in enumerate(lines) if kind in json.loads(line)["row"])
        row = json.loads(lines[index])["row"]
        change(row)
        lines[index] = line_of(json.dumps(row, separators=(",", ":")))
        return b"".join(lines)

    return edit


def visit(**values: Any) -> Callable[[bytes], bytes]:
    return changed_row("visit", lambda row: row.update(values))


def header(**values: Any) -> Callable[[bytes], bytes]:
    return changed_row("header", lambda row: row["header"].update(values))


def raw_visit(old: str, new: str) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        index = next(i for i, line in enumerate(lines) if b'"visit"' in line)
        body = lines[index].decode()[len('{"crc32":"00000000","row":') : -2]
        lines[index] = line_of(body.replace(old, new, 1))
        return b"".join(lines)

    return edit


def engine_hash(row: Row) -> None:
    row["jobs"]["reference small"][0] = "0" * 64


def engine_name(row: Row) -> None:
    row["jobs"]["../../x"] = ["0" * 64, "0" * 64]


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "nan": raw_visit('"window":[', '"window":[NaN,'),
    "nan time": visit(window=[9, float("nan"), 1.0, 1.0, 1.0]),
    "infinite": raw_visit('"seconds":', '"seconds":1e999,"was":'),
    "negative": visit(window=[9, -1.0, 1.0, 1.0, 1.0]),
    "zero": visit(window=[9, 0.0, 1.0, 1.0, 1.0]),
    "huge": visit(window=[9, 1.0, 1.0, 1.0, 1e300]),
    "huge whole number": visit(at=10**400),
    "longest number": raw_visit('"number":0', f'"number":{"9" * 5000}'),
    "out of order": visit(window=[9, 2.0, 1.0, 1.0, 1.0]),
    "raw calls missing": visit(window=[9, 1.0, 1.0, 1.0, 1.0]),
    "raw call below zero": visit(window=[1, 1.0, 1.0, 1.0, 1.0, -1.0]),
    "negative count": visit(number=-1),
    "text for a number": visit(seconds="1"),
    "text for a flag": visit(noisy="no"),
    "too few numbers": visit(window=[9]),
    "no list": visit(window=7),
    "no pair": visit(before={}),
    "unknown job": visit(visit="network ../../x"),
    "list for a job": visit(visit=["network"]),
    "more fields": visit(path="/etc/passwd"),
    "visit twice": lambda data: data + data.splitlines(keepends=True)[-2],
    "unknown row": lambda data: data + line_of('{"run":"rm -rf /"}'),
    "new try of another job": lambda data: data + line_of('{"again":["../../x"]}'),
    "no object": lambda data: data + line_of("[1]") + line_of("{}"),
    "deep nesting": lambda data: data + line_of("[" * 100_000) + line_of("{}"),
    "wrong model": changed_row("jobs", engine_hash),
    "path for a job": changed_row("jobs", engine_name),
    "no jobs": changed_row("jobs", lambda row: row.update(jobs=7)),
    "path out": header(device="../../../tmp/x"),
    "absolute path": header(device="/tmp/x"),
    "other device": header(device="else"),
    "other kit": header(kit="0" * 64),
    "other space": header(space="bottleneck-224"),
    "other protocol": header(protocol=1),
    "no threads": header(threads=0),
    "no fingerprint": header(fingerprint=[]),
    "steering the terminal": header(fingerprint={"cpu": "\x1b[2J"}),
    "long text": header(fingerprint={"cpu": "x" * 10_000}),
    "more in the header": header(out="/"),
    "steering by another kind": changed_row("header", lambda row: row.update(kind="\x1b[2J" * 999)),
    "steering by a space": header(space="\x1b[2J" * 999),
    "no header": changed_row("header", lambda row: row.pop("header")),
    "another end": changed_row("ended", lambda row: row.update(ended="done")),
    "zip": lambda data: b"PK\x03\x04" + data,
    "gzip": lambda data: b"\x1f\x8b" + data,
    "empty": lambda data: b"",
    "no visits": lambda data: data.splitlines(keepends=True)[0],
    "flipped byte": lambda data: data.replace(b"0", b"1", 1),
}


@pytest.fixture
def nothing_written(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "tables"
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_results_are_refused_in_one_line(
    how: str,
    measured: Measured,
    tmp_path: Path,
    nothing_written: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / RESULTS
    bad.write_bytes(HOSTILE[how](measured.results.read_bytes()))
    assert bad.read_bytes() != measured.results.read_bytes()
    assert imported(bad, nothing_written, "--kit", str(measured.results.parent)) == 2
    said = capsys.readouterr()
    assert said.err.startswith("hwsearch: error: ") and said.err.count("\n") == 1
    assert len(said.err) < 1000 and str(bad) in said.err
    assert said.err.strip().isprintable()


def test_bombs_folders_and_damaged_kits_are_refused(
    measured: Measured, tmp_path: Path, nothing_written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imported(measured.results.parent, nothing_written) == 2
    assert imported(tmp_path / "nowhere" / RESULTS, nothing_written) == 2
    list_ = measured.results.with_name(JOBS).read_text()
    copy = tmp_path / RESULTS
    copy.write_bytes(measured.results.read_bytes())
    name = next(iter(json.loads(list_)["files"]))
    for damaged in (
        list_[:-9],
        list_.replace(name, "../../../etc/passwd"),
        "[]",
        "{}",
        "[" * 200_000,
    ):
        copy.with_name(JOBS).write_text(damaged)
        assert imported(copy, nothing_written) == 2
    monkeypatch.setattr(results_module, "MAX_BYTES", 1000)
    assert imported(measured.results, nothing_written) == 2
