"""Deliveries that are killed, run out of disk, or are damaged afterwards: never half an engine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from far import write_device_table
from full_disk import files_limited_to
from moments import wait_for
from searches import made

import hwsearch
from hwsearch.cli import main
from hwsearch.deploy.workplace import workplace
from hwsearch.errors import HwsearchError

__all__ = ["made"]


@pytest.fixture(scope="module")
def words(made: Path) -> list[str]:
    table = write_device_table(made / "t", "onnxruntime", "fp32")
    said = f"deploy --subnet min --checkpoint {made / 'run'} --images sklearn:digits"
    return f"{said} --max-images 8 --table {table} --measure-seconds 1 --out".split()


@pytest.fixture(scope="module")
def delivered(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that was killed three times on its way."""
    out = tmp_path_factory.mktemp("faults") / "engine"
    partial = out.with_name("engine.partial") / "engine"
    for name in ("weights.safetensors", "model.onnx", "engine.onnx"):
        command = [sys.executable, "-m", "hwsearch", *words, str(out)]
        with subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            before = time.time_ns()
            wait_for(lambda place=partial / name, since=before: is_new(place, since), seconds=90)
            os.killpg(child.pid, signal.SIGKILL)
        assert not out.exists()
        with pytest.raises(HwsearchError, match="no readable manifest"):
            hwsearch.load(partial)
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("hwsearch.deploy.workplace.say", said.append)
        assert main([*words, str(out)]) == 0
    assert any("engine.partial is of a run that did not end" in line for line in said)
    assert list(out.parent.iterdir()) == [out]
    return out


def is_new(path: Path, since_ns: int) -> bool:
    """Whether a file was written since; what an earlier run left is not."""
    return path.exists() and path.stat().st_mtime_ns > since_ns


def test_a_killed_delivery_begins_anew(delivered: Path):
    with hwsearch.load(delivered) as engine:
        assert engine.manifest.latency.measured_ms > 0
    assert len({path.stat().st_mode for path in delivered.iterdir()}) == 1  # who reads one, all


def test_folders_of_others_are_left_alone(words, tmp_path, capsys, monkeypatch):
    """That of a delivery which is at work, and one that only has its name."""
    monkeypatch.setattr("hwsearch.journal.LOCK_SECONDS", 0.0)
    out, partial = tmp_path / "engine", tmp_path / "engine.partial"
    with workplace(out) as folder:
        folder.mkdir()
        assert main([*words, str(out)]) == 2
        assert "another hwsearch writes it now" in capsys.readouterr().err
        assert folder.exists()
    assert not list(tmp_path.iterdir())
    partial.mkdir()
    (partial / "thesis.txt").write_text("mine")
    assert main([*words, str(out)]) == 2
    assert "this is not of a delivery" in capsys.readouterr().err
    assert [path.name for path in partial.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("size", [2_000, 400_000])
def test_a_full_disk_leaves_nothing(words, tmp_path, capsys, size):
    with files_limited_to(size):
        assert main([*words, str(tmp_path / "engine")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot write" in said and "Free some space" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["engine.onnx", "model.onnx", "weights.safetensors", "README.md"])
def test_one_other_byte_in_a_file_is_found(delivered, tmp_path, name):
    engine = shutil.copytree(delivered, tmp_path / "engine")
    data = bytearray((engine / name).read_bytes())
    data[len(data) // 2] ^= 1
    (engine / name).write_bytes(data)
    with pytest.raises(HwsearchError, match=f"does not match its hash.*{name}"):
        hwsearch.load(engine)


def test_one_other_byte_in_the_manifest_is_found(delivered, tmp_path):
    """Wherever it is, unless it changes no value: a blank, or a digit that a float rounds away."""
    engine = shutil.copytree(delivered, tmp_path / "engine")
    path = engine / "manifest.json"
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with suppress(ValueError):
            if json.loads(changed) == json.loads(data):
                continue
        with pytest.raises(HwsearchError):
            hwsearch.load(engine, trust=True)


def test_another_version_of_the_runtime_is_told(delivered, monkeypatch):
    monkeypatch.setattr("hwsearch.runtime.onnxruntime.onnxruntime.__version__", "9.9")
    version = json.loads((delivered / "manifest.json").read_text())["versions"]["onnxruntime"]
    with pytest.raises(HwsearchError, match=f"built by onnxruntime {version}; here is 9.9"):
        hwsearch.load(delivered)
    hwsearch.load(delivered, trust=True).close()
