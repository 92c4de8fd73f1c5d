"""What a search refuses: options and inputs that cannot work, each in one line."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from searches import SPACE, made, options
from synthetic_device import SyntheticDevice

from hwsearch.cli import main
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.spaces import get_space

__all__ = ["made"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_images": 7}, "--max-images must be at least 8"),
        ({"calibration_images": 513}, "--calibration-images must be 8 to 512"),
        ({"tables": ()}, "--tables names no table"),
        ({"evaluations": 1}, "--evaluations 1 is too small"),
        ({"batch": 0}, "--batch 0 is too small"),
        ({"stop_gain": 1.0}, "--stop-gain 1.0 is not a share"),
        ({"seed": -1}, "--seed must be 0 or more, not -1"),
        ({"early_stop": True, "against": ("macs",)}, "--early-stop compares .* latency alone"),
        ({"early_stop": True, "confirm": True}, "--early-stop leaves .* --confirm moves the front"),
    ],
)
def test_impossible_options_are_refused(
    made: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(HwsearchError, match=message):
        options(made, tmp_path, **changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--limit latency_ms<=1 --limit latency_ms>=2", "contradict each other"),
        ("--limit latency_ms<=0.01", "no network keeps --limit latency_ms<=0.01.*the nearest is"),
        ("--limit energy_mj<=5", "has no energies"),
        ("--ships classifier:10 detection:3", "more than one head"),
        ("--tables basic.jsonl openvino.jsonl", "--tables are of several spaces"),
        ("--warm basic", "of space 'basic-32', not 'bottleneck-32'"),
        ("--warm nowhere", "no search found"),
    ],
)
def test_bad_input_ends_in_one_line(
    *,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    other = get_space("basic-32")
    replace(SyntheticDevice(other).table(1, blocks=False), path=Path("basic.jsonl")).write()
    shutil.copy(made / f"tables/made-up/{SPACE.name}-openvino-fp32-b1-t2.jsonl", "openvino.jsonl")
    header = {"space": other.name, "tables": {}}
    with Journal.open(Path("basic/evaluations.jsonl"), "search", header) as journal:
        subnet = other.maximum.as_dict()
        journal.append({"subnet": subnet, "distance": 0.0, "latency_ms": {}})
    given = f"search --checkpoint {made / 'run'} --images sklearn:digits --max-images 8 --out out"
    tables = "" if "--tables" in words else " --tables openvino.jsonl"
    assert main(f"{given}{tables} {words}".split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said)
    assert not Path("out").exists()
