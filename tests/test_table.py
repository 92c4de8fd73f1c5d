"""Latency tables come back as they were written, and damage is named or said."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwsearch.device import detect, fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.latency.rows import Reference, Row, TableHeader
from hwsearch.latency.table import Table, find_table, require_this_device

HEADER = TableHeader(
    space="bottleneck-32",
    runtime="onnxruntime",
    precision="fp32",
    batch=1,
    threads=2,
    device="bench",
    fingerprint=fingerprint(),
    versions={"numpy": "2"},
    provider="CPUExecutionProvider",
    references=(Reference("small", "ab", 0.4), Reference("large", "cd", 2.4)),
    exponents=(0.4, 0.5),
    seed=0,
    date="2026-01-01T00:00:00+00:00",
    visits=10,
    build_seconds=1.0,
    measure_seconds=2.0,
    ended="settled",
)


def row(kind: str, key: str, latency_ms: float, **more: object) -> Row:
    quantiles = dict.fromkeys(("p10_ms", "p50_ms", "p90_ms", "p99_ms"), latency_ms)
    return Row(kind, key, latency_ms, 0.01, 2, **quantiles, pass_ratios=(0.99, 1.01), **more)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    rows = (
        row("network", "stem=8", 0.5, engine_sha256="e", subnet={"stem": 8}, split="evidence"),
        row("network", "stem=9", 0.6, engine_sha256="f", subnet={"stem": 9}, split="heldout"),
        row("block", "stem(in=3)", 0.1, engine_sha256="g", flags=("noisy",)),
    )
    table = Table(tmp_path / "bench" / f"{HEADER.name}.jsonl", HEADER, rows)
    table.write()
    return table


def test_what_was_written_is_read(table: Table) -> None:
    again = Table.read(table.path)
    assert again.header == HEADER
    assert again.name == "bottleneck-32-onnxruntime-fp32-b1-t2"
    assert [found.key for found in again.blocks] == ["stem(in=3)"]
    assert again.blocks[0].flags == ("noisy",)
    (heldout,) = again.networks("heldout")
    assert heldout == table.rows[1]
    again.write()
    assert Table.read(table.path) == again
    assert json.loads(table.path.read_text().splitlines()[0])["units"] == {"latency": "ms"}


def test_torn_last_line_is_left_out_and_said(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    text = table.path.read_text()
    table.path.write_text(text[:-40])
    assert len(Table.read(table.path).rows) == 2
    assert "1 of 3 rows are missing at its torn end" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"latency_ms":0.1', '"latency_ms":0.2', "rows were changed by hand or damaged"),
        ('{"kind":"block"', '{"kind":block"', "line 2 is damaged"),
        ('"precision"', '"percision"', "line 1 is damaged"),
        ('"nominal_ms":0.4', '"nominal_ms":4.0', "line 1 is damaged"),
        ('"schema":4', '"schema":9', "another version"),
        ('"format":"hw', '"format":"xx', "this is no latency table"),
        ('{"format"', "format", "this is no latency table"),
        ("", "[" * 200_000, "this is no latency table"),
        ('{"kind":"block"', "[" * 200_000, "line 2 is damaged"),
    ],
)
def test_damage_is_one_clear_error(table: Table, old: str, new: str, message: str) -> None:
    table.path.write_text(table.path.read_text().replace(old, new, 1))
    with pytest.raises(HwsearchError, match=message):
        Table.read(table.path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ('"rows":3', '"rows":"x"'),
        ('"rows":3,', ""),
        ('"threads":2', '"threads":"2"'),
        ('"numpy":"2"', '"numpy":2'),
        ('"exponents":[0.4,0.5]', '"exponents":["a","b"]'),
    ],
)
def test_tables_before_the_header_had_a_checksum_are_read_with_care(
    table: Table, old: str, new: str
) -> None:
    first, rest = table.path.read_text().split("\n", 1)
    first = re.sub(r',"header_crc32":"\w+"', "", first).replace('"schema":4', '"schema":3')
    assert old in first
    table.path.write_text(first.replace(old, new, 1) + "\n" + rest)
    if old == new:
        assert Table.read(table.path).header == HEADER
        return
    with pytest.raises(HwsearchError, match="line 1 is damaged"):
        Table.read(table.path)


def test_table_of_another_device_is_refused_with_the_fields(table: Table) -> None:
    require_this_device(table)
    other = replace(HEADER, fingerprint={**HEADER.fingerprint, "cpu": "Abacus 9"})
    with pytest.raises(HwsearchError, match=r"another device \(cpu: Abacus 9, here .*profile"):
        require_this_device(replace(table, header=other))


def test_tables_are_found_by_path_name_and_device(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = HEADER.name.rpartition("-")[0]
    named = (HEADER.name, f"bench/{HEADER.name}", f"{HEADER.name}.jsonl", start)
    for text in (str(table.path), *named):
        assert find_table(text, tmp_path) == table.path
    with pytest.raises(HwsearchError, match=f"Did you mean bench/{HEADER.name}"):
        find_table(f"bench/{HEADER.name}x", tmp_path)
    replace(table, path=tmp_path / "desk" / table.path.name).write()
    with pytest.raises(HwsearchError, match=r"several latency tables.*bench/.*desk/"):
        find_table(HEADER.name, tmp_path)
    with pytest.raises(HwsearchError, match=r"several latency tables.*bench/.*desk/"):
        find_table(start, tmp_path)
    monkeypatch.setattr("hwsearch.latency.table.detect", lambda: replace(detect(), name="desk"))
    for text in (HEADER.name, start):
        assert find_table(text, tmp_path).parent.name == "desk"


def test_nearer_folders_win(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    user = tmp_path / "home"
    monkeypatch.setenv("XDG_DATA_HOME", str(user))
    kept = replace(table, path=user / "hwsearch/latency_tables/mine" / table.path.name)
    kept.write()
    assert find_table(HEADER.name) == kept.path
    local = replace(table, path=Path("latency_tables/mine") / table.path.name)
    local.write()
    assert find_table(HEADER.name) == local.path
