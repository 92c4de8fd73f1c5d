"""Bad input of every kind ends in one clear line and status 2, or is repaired and said."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_device import SyntheticDevice

from hwsearch.cli import main
from hwsearch.latency.table import Table
from hwsearch.spaces import get_space
from hwsearch.verbs import VERBS

TABLE = "bottleneck-32-onnxruntime-fp32-b1-t2"
TRAIN = "train --space bottleneck-32 --out run --epochs 1 --batch 4"
SEARCH = "search --checkpoint runs/photos --images photos --evaluations 12"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory: images, some truncated, and a folder without any."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("truncated").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(f"truncated/{number}.png")
    for number in range(3):
        path = Path(f"truncated/{number}.png")
        path.write_bytes(path.read_bytes()[:100])
    return tmp_path


@pytest.fixture
def used(user_folder, tmp_path, monkeypatch):
    """A copy of the folder in which the README has been followed, to be damaged."""
    copy = tmp_path / "copy"
    shutil.copytree(user_folder, copy)
    monkeypatch.chdir(copy)
    return copy


def refusal(words: str, capsys: pytest.CaptureFixture) -> str:
    """Runs a command that must be refused and returns the one line on standard error."""
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("hwsearch: error: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{TRAIN} --data nowhere", "nowhere"),
        (f"{TRAIN} --data empty", "empty"),
        (f"{TRAIN} --data truncated", "of 8 images cannot be read"),
        (f"{TRAIN} --data truncated --space botleneck-32", "Did you mean bottleneck-32"),
        (f"{TRAIN} --data truncated --method moco", "Did you mean moco-v2"),
        ("profile --space bottleneck-32 --runtime onnxrt", "Did you mean onnxruntime"),
        ("profile --space bottleneck-3 --runtime openvino", "Did you mean bottleneck-32"),
        ("profile --space bottleneck-32 --runtime onnxruntime --out truncated/0.png/x", "write"),
        ("devices show raspberry-pi-6-8gb", "Did you mean raspberry-pi-5-8gb"),
        ("report nowhere", "nowhere"),
        ("deploy nowhere --out engine", "nowhere"),
        ("probe --engine empty --train truncated --test truncated", "manifest"),
        ("predict --table nowhere.jsonl --subnet max", "nowhere.jsonl"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, message, folder, capsys):
    assert message in refusal(words, capsys)


@pytest.mark.parametrize("name", ["search", "cluster", "route", "correlate", "study", "choose"])
def test_the_config_of_another_command_is_never_written_over(name, folder, capsys):
    Path("run").mkdir()
    Path("run/config.toml").write_text("another = 1\n")
    words = VERBS[name].example.removeprefix("hwsearch ")
    assert "of another command: another (run/config.toml)" in refusal(f"{words} --out run", capsys)
    assert [path.read_text() for path in Path("run").iterdir()] == ["another = 1\n"]


@pytest.mark.slow
def test_images_that_are_not_there_stop_a_search(used, capsys):
    words = SEARCH.replace("photos --eval", f"nowhere --tables {TABLE} --out new --eval")
    assert "nowhere" in refusal(words, capsys)


@pytest.mark.slow
def test_a_checkpoint_of_another_space_is_refused(used, capsys):
    table = SyntheticDevice(get_space("bottleneck-224")).table(10, blocks=False, folder=used)
    table.path.parent.mkdir()
    table.write()
    said = refusal(f"{SEARCH} --tables {table.path} --out new", capsys)
    assert "bottleneck-224" in said and "bottleneck-32" in said


@pytest.mark.slow
def test_a_table_of_another_device_delivers_no_engine_here(used, capsys):
    (path,) = used.glob(f"latency_tables/*/{TABLE}.jsonl")
    table = Table.read(path)
    elsewhere = {**table.header.fingerprint, "cpu": "another"}
    replace(table, header=replace(table.header, fingerprint=elsewhere)).write()
    assert main(f"{SEARCH} --tables {TABLE} --out new --max-images 8".split()) == 0
    capsys.readouterr()
    assert main(["deploy", "new", "--out", "engines/new"]) == 0
    assert "nothing was built or measured yet" in capsys.readouterr().out
    assert not Path("engines/new/manifest.json").exists()
    assert "no results" in refusal("import engines/new/results.jsonl", capsys)


@pytest.mark.slow
def test_an_engine_that_does_not_match_its_hash_is_refused(used, capsys):
    model = used / "engines/photos/model.onnx"
    model.write_bytes(model.read_bytes() + b"!")
    words = "probe --engine engines/photos --train labelled/train --test labelled/test"
    said = refusal(words, capsys)
    assert "hash" in said and "model.onnx" in said


@pytest.mark.slow
def test_a_table_with_a_torn_end_is_read_and_said(used, capsys):
    (path,) = used.glob(f"latency_tables/*/{TABLE}.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["predict", "--table", TABLE, "--subnet", "max"]) == 0
    said = capsys.readouterr()
    assert "torn" in said.err and " ms" in said.out


@pytest.mark.slow
def test_a_journal_with_a_torn_end_is_repaired_and_said(used, capsys):
    path = used / "searches/photos/evaluations.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    words = f"{SEARCH} --tables {TABLE} --out searches/photos --max-images 32"
    assert main(words.split()) == 0
    assert "bytes of an unfinished" in capsys.readouterr().out
    assert path.read_bytes() == whole
