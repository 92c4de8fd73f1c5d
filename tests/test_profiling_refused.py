"""What profiling refuses before anything is built or measured."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwsearch.errors import HwsearchError
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile


def test_unknown_names_and_impossible_values_are_refused(tmp_path: Path) -> None:
    good = ProfileOptions(space="bottleneck-32", runtime="onnxruntime", out=tmp_path)
    cases = (
        ({"space": "bottleneck-23"}, r"unknown space.*bottleneck-32"),
        ({"runtime": "onnxrunime"}, r"unknown runtime.*onnxruntime"),
        ({"precision": "int4"}, r"unknown precision.*fp32"),
    )
    for change, message in cases:
        with pytest.raises(HwsearchError, match=message):
            profile(replace(good, **change))
    for change in ({"budget_minutes": 0}, {"batch": 0}, {"threads": 9999}, {"heldout": -1}):
        with pytest.raises(HwsearchError, match=f"--{next(iter(change)).replace('_', '-')}"):
            replace(good, **change)


def test_engines_that_the_disk_cannot_hold_are_not_built(tmp_path, monkeypatch) -> None:
    wanted = {"space": "bottleneck-224", "runtime": "onnxruntime", "evidence": 20, "heldout": 5}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**9))
    with pytest.raises(HwsearchError, match=r"engines need about \d\.\d GB more, and 1\.0 GB"):
        profile(ProfileOptions(**wanted, out=tmp_path))
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize("begun", [b"", b'{"crc32":"00'])
def test_a_journal_that_was_cut_in_its_first_line_is_no_obstacle(
    tmp_path: Path, begun: bytes
) -> None:
    plan = ProfileOptions(space="bottleneck-32", runtime="onnxruntime", out=tmp_path).plan()
    plan.journal.parent.mkdir(parents=True)
    plan.journal.write_bytes(begun)
    assert not plan.log().visits
