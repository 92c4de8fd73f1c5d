"""Checkpoints: what is saved comes back, and what is damaged or foreign is refused."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from full_disk import files_limited_to
from safetensors.torch import save_file
from tiny_space import NAME, TINY

from hwsearch.checkpoint import (
    CHECKPOINT_NAME,
    FORMAT,
    SCHEMA,
    Checkpoint,
    Header,
    build_method,
    load_run,
)
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.settings import MethodSettings

SETTINGS = MethodSettings(projection_hidden=16, queue=8)


@pytest.fixture
def saved(tmp_path):
    method = build_method(TINY, "moco-v2", SETTINGS, seed=3)
    header = Header(NAME, "moco-v2", SETTINGS, {"lr": 0.1}, 7, 9, {"loader": {"epoch": 1}})
    checkpoint = Checkpoint(header, method.state_dict(), {"w": torch.ones(2)})
    checkpoint.save(tmp_path)
    return checkpoint


def test_what_is_saved_comes_back(saved, tmp_path):
    again = Checkpoint.load(tmp_path)
    assert again.header == saved.header
    for name, value in saved.method.items():
        assert torch.equal(again.method[name], value)
    assert torch.equal(again.optimiser["w"], saved.optimiser["w"])


def test_equal_content_gives_equal_bytes(saved, tmp_path):
    again = tmp_path / "again"
    Checkpoint.load(tmp_path).save(again)
    before, after = ((run / CHECKPOINT_NAME).read_bytes() for run in (tmp_path, again))
    assert before == after


def test_a_full_disk_leaves_the_old_checkpoint(saved, tmp_path):
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()
    with (
        files_limited_to(1000),
        pytest.raises(HwsearchError, match=r"before it is intact.*--resume"),
    ):
        saved.save(tmp_path)
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT_NAME]


def test_a_run_of_another_space_is_refused(saved, tmp_path):
    with pytest.raises(HwsearchError, match="of space 'tiny-8', not 'bottleneck-32'"):
        load_run(tmp_path, space="bottleneck-32")


def test_a_missing_checkpoint_is_said(tmp_path):
    with pytest.raises(HwsearchError, match="no checkpoint here"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_checkpoint_is_refused(saved, tmp_path, kept):
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(HwsearchError, match="truncated or damaged"):
        load_run(tmp_path)


def test_another_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / CHECKPOINT_NAME)
    with pytest.raises(HwsearchError, match="this is another safetensors file"):
        load_run(tmp_path)


def say_anew(saved: Checkpoint, run: Path, text: str | None = None, **changes: object) -> None:
    """Writes a checkpoint whose header says something else."""
    about = {"format": FORMAT, "schema": SCHEMA, **asdict(saved.header), **changes}
    tensors = {f"method.{name}": value for name, value in saved.method.items()}
    save_file(tensors, run / CHECKPOINT_NAME, {"hwsearch": text or json.dumps(about)})


def test_what_a_newer_hwsearch_says_is_refused(saved, tmp_path):
    say_anew(saved, tmp_path, settings={"later": 1})
    with pytest.raises(HwsearchError, match=r"does not know: later .*Use the hwsearch that"):
        load_run(tmp_path)


@pytest.mark.parametrize("text", ['{"a', "[1,2]", "[" * 100_000, f'{{"format": "{FORMAT}"}}'])
def test_a_header_that_is_none_is_refused(saved, tmp_path, text):
    say_anew(saved, tmp_path, text)
    with pytest.raises(HwsearchError, match=r"damaged|version 0"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": 5}, "damaged: Expected `str`.*space"),
        ({"recipe": "x"}, "damaged: Expected `object`.*recipe"),
        ({"step": "x"}, "damaged: Expected `int`.*step"),
        ({"settings": None}, "damaged: Expected `object`.*settings"),
        ({"settings": {"projection": "x"}}, "damaged: Expected `int`.*projection"),
        ({"settings": {"projection": 10**15}}, "do not fit"),
        ({"settings": {"projection": 10**30}}, "do not fit"),
        ({"settings": {"queue": -1}}, "do not fit"),
    ],
)
def test_a_header_with_impossible_values_is_refused(saved, tmp_path, changes, message):
    say_anew(saved, tmp_path, **changes)
    with pytest.raises(HwsearchError, match=message):
        load_run(tmp_path)


def test_weights_that_do_not_fit_the_space_are_refused(saved, tmp_path):
    without = {name: value for name, value in saved.method.items() if "stem" not in name}
    Checkpoint(saved.header, without, {}).save(tmp_path)
    with pytest.raises(HwsearchError, match="do not fit space 'tiny-8'"):
        load_run(tmp_path)
