"""The journal keeps what was appended, repairs a torn end and refuses everything doubtful."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwsearch import journal as journal_module
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_begun, read_journal, sha256_of, write_atomic

HEADER = {"space": "small", "versions": {"numpy": "2"}, "shape": (1, 2)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "log.jsonl"
    with Journal.open(path, "visits", HEADER) as journal:
        for index in range(3):
            journal.append({"index": index, "text": "µs\n", "value": 0.1 + index})
    return path


def reopen(path: Path) -> Journal:
    return Journal.open(path, "visits", HEADER)


def test_rows_are_there_again(path: Path) -> None:
    with reopen(path) as journal:
        assert [row["index"] for row in journal] == [0, 1, 2]
        assert journal.header["shape"] == [1, 2]
        assert journal.repaired is None
        journal.append({"index": 3})
    header, rows = read_journal(path, "visits")
    assert header["space"] == "small"
    assert rows[1] == {"index": 1, "text": "µs\n", "value": 1.1}
    assert rows[3] == {"index": 3}


def test_every_torn_end_is_repaired_and_said(path: Path) -> None:
    whole = path.read_bytes()
    start_of_last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start_of_last + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert len(read_journal(path, "visits")[1]) == 2
        with reopen(path) as journal:
            assert journal.repaired is not None and "log.jsonl" in journal.repaired
            assert len(journal.rows) == 2
    with reopen(path) as journal:
        assert journal.repaired is None


def test_torn_header_starts_afresh(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:25])
    with reopen(path) as journal:
        assert journal.repaired and journal.rows == []


@pytest.mark.parametrize("kept", [0, 25])
def test_a_journal_without_a_whole_line_has_not_begun(path: Path, kept: int) -> None:
    assert read_begun(path, "visits") == read_journal(path, "visits")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(HwsearchError, match="the journal is empty"):
        read_journal(path, "visits")
    assert read_begun(path, "visits") == ({}, []) == read_begun(path.parent / "none", "visits")


def test_flipped_byte_in_the_middle_is_refused_with_its_line(path: Path) -> None:
    data = path.read_bytes().replace(b'"value":0.1', b'"value":0.2')
    path.write_bytes(data)
    with pytest.raises(HwsearchError, match=r"line 2 is damaged .*log\.jsonl"):
        reopen(path)
    with pytest.raises(HwsearchError, match="line 2"):
        read_journal(path, "visits")
    assert path.read_bytes() == data


def test_other_header_names_the_fields(path: Path) -> None:
    header = {**HEADER, "space": "large", "versions": {"numpy": "3"}}
    with pytest.raises(HwsearchError) as error:
        Journal.open(path, "visits", header, fix="Use --fresh")
    assert "space: small, now large; versions.numpy: 2, now 3" in str(error.value)
    assert "Use --fresh" in str(error.value)


def test_other_kind_other_file_and_no_file_are_refused(path: Path) -> None:
    with pytest.raises(HwsearchError, match="kind 'visits', not 'search'"):
        Journal.open(path, "search", HEADER)
    with pytest.raises(HwsearchError, match="no visits journal here"):
        read_journal(path.with_name("none.jsonl"), "visits")
    foreign = path.with_name("notes.txt")
    foreign.write_text("a shopping list")
    with pytest.raises(HwsearchError, match="not a journal"):
        Journal.open(foreign, "visits", HEADER)
    assert foreign.read_text() == "a shopping list"


def test_only_one_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LOCK_SECONDS", 0.1)
    with reopen(path), pytest.raises(HwsearchError, match="another hwsearch writes"):
        reopen(path)
    reopen(path).close()


def test_full_disk_leaves_a_valid_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def half_then_full(file: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: len(data) // 2])

    with reopen(path) as journal:
        monkeypatch.setattr(os, "write", half_then_full)
        with pytest.raises(HwsearchError, match=r"No space left.*Free some space"):
            journal.append({"index": 3, "text": "x" * 100})
        monkeypatch.undo()
        journal.append({"index": 4})
    with reopen(path) as journal:
        assert [row["index"] for row in journal] == [0, 1, 2, 4]
        assert journal.repaired is None


def test_kill_9_loses_no_appended_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    script = (
        "import sys; from pathlib import Path; from hwsearch.journal import Journal\n"
        f"with Journal.open(Path({str(path)!r}), 'visits', {{}}) as journal:\n"
        "    for index in range(10**6):\n"
        "        journal.append({'index': index}); print(index, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        said += [int(line) for line in child.stdout if line.endswith(b"\n")]
    rows = read_journal(path, "visits")[1]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert len(rows) in (len(said), len(said) + 1)


def test_write_atomic_replaces_or_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "table.jsonl"
    write_atomic(path, "old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HwsearchError, match="No space left"):
        write_atomic(path, b"newer")
    assert path.read_bytes() == b"new"
    assert [item.name for item in path.parent.iterdir()] == ["table.jsonl"]
    assert sha256_of(path).startswith("11507a0e2f5e69d5")
