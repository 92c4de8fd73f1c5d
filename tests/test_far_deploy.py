"""Engines for devices elsewhere: the build folder there and back, on a bare device and a stub."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bare import bare_environment
from far import fake_gpu, made_elsewhere, run, start, write_device_table
from moments import wait_for
from searches import made, options
from test_import import changed_row, header, visit

import hwsearch
from hwsearch.cli import main
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal, sha256_of
from hwsearch.kit.delivery import EXPECTED, INPUTS, ORDER, PROGRAM, Delivery
from hwsearch.kit.jobs import RESULTS
from hwsearch.kit.order import KIND
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.run import search

__all__ = ["made"]


@dataclass(frozen=True)
class Loop:
    """A build folder as it was made, and its copy on a device after the engine was built there."""

    home: Path
    device: Path
    said: str

    @property
    def results(self) -> Path:
        return self.device / RESULTS


def visits(folder: Path) -> int:
    try:
        return sum("visit" in row for row in read_journal(folder / RESULTS, KIND)[1])
    except HwsearchError:  # not there yet
        return 0


@pytest.fixture(scope="module")
def loop(bare: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """Made here, copied to a device with NumPy and ONNX Runtime only, killed twice on the way."""
    folder = tmp_path_factory.mktemp("far")
    with pytest.MonkeyPatch.context() as patch:
        home = made_elsewhere(made, folder, patch, "onnxruntime", "fp32", measure_seconds=4.0)
    device = folder / "device"
    shutil.copytree(home, device)
    env = bare_environment(device / "loaded")
    for moment in (
        lambda: any((device / "work").rglob("built.json")),
        lambda: visits(device) > 5,
    ):
        with start(bare, device, env) as child:
            wait_for(moment)
            os.killpg(child.pid, signal.SIGKILL)
        assert not (device / "manifest.json").exists()
    before = visits(device)
    said, wrong, status = run(bare, device, env)
    assert status == 0, wrong
    assert visits(device) > before > 5
    return Loop(home, device, said)


def test_the_device_needs_numpy_and_the_runtime_only(loop: Loop) -> None:
    found = set((loop.device / "loaded").read_text().split())
    assert found == {"__main__", "hwsearch", "numpy", "onnxruntime", "sitecustomize"}


def test_the_engine_runs_on_the_device_by_its_manifest(loop: Loop) -> None:
    manifest = read_manifest(loop.device)
    assert manifest.provider == "CPUExecutionProvider"
    assert 0 < manifest.latency.measured_ms < 5 and manifest.parity.images == 8
    assert manifest.distance.stand_in == "unoptimised ONNX Runtime"
    assert f"{manifest.latency.measured_ms:.3f} ms" in loop.said
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    with hwsearch.load(loop.device) as engine:
        (given,) = engine.outputs(photos).values()
        takes = manifest.input
    assert sorted(manifest.files) == ["engine.onnx", "model.onnx", "weights.safetensors"]
    assert given.shape == (3, *manifest.outputs[0].shape) and takes.batch == 1


def test_import_closes_the_loop(
    loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(loop.home, home)
    (home / RESULTS).write_bytes(loop.results.read_bytes())
    assert main(["import", str(home / RESULTS)]) == 0
    told = capsys.readouterr().out
    manifest = read_manifest(home)
    assert manifest == read_manifest(loop.device)
    text = (home / "README.md").read_text()
    assert "lies on the device `board`" in text and "```cpp" in text
    assert f"took {manifest.latency.measured_ms:.3f} ms" in text
    assert "stays on board" in told and f"{manifest.latency.measured_ms:.3f} ms, " in told
    assert "parity" in told and "distance" in told
    with pytest.raises(HwsearchError, match=r"missing .*engine\.onnx"):
        hwsearch.load(home)
    shorter = tmp_path / RESULTS
    lines = loop.results.read_bytes().splitlines(keepends=True)
    shorter.write_bytes(b"".join(lines[:-2] + lines[-1:]))
    words = ["import", str(shorter), "--kit", str(home)]
    assert main(words) == 2
    assert "--fresh" in capsys.readouterr().err
    assert main([*words, "--fresh"]) == 0


def test_a_finished_folder_says_so_at_once(bare: Path, loop: Loop) -> None:
    before = loop.results.read_bytes()
    said, _, status = run(bare, loop.device, bare_environment(loop.device / "again"))
    assert status == 0 and "engine.onnx" in said and "build engines" not in said
    assert loop.results.read_bytes() == before


@pytest.mark.parametrize("name", ["model.onnx", INPUTS, EXPECTED, "reference_small.onnx"])
def test_damaged_files_are_told(bare: Path, loop: Loop, tmp_path: Path, name: str) -> None:
    device = tmp_path / "device"
    shutil.copytree(loop.home, device)
    data = bytearray((device / name).read_bytes())
    data[len(data) // 2] ^= 1
    (device / name).write_bytes(data)
    _, wrong, status = run(bare, device, bare_environment(tmp_path / "loaded"))
    assert status == 2 and wrong.count("\n") == 1
    assert f"1 files are missing or damaged, such as {name}" in wrong
    assert not (device / "manifest.json").exists()
    (device / RESULTS).write_bytes(loop.results.read_bytes())
    assert main(["import", str(device / RESULTS)]) == 2


def test_an_engine_that_computes_something_else_is_removed(
    bare: Path, loop: Loop, tmp_path: Path
) -> None:
    device = tmp_path / "device"
    shutil.copytree(loop.home, device)
    with np.load(device / EXPECTED) as stored:
        np.savez(device / EXPECTED, stored["arr_0"] + 1)
    order = json.loads((device / ORDER).read_text())
    order["files"][EXPECTED] = sha256_of(device / EXPECTED)
    (device / ORDER).write_text(json.dumps(order))
    env = bare_environment(tmp_path / "loaded")
    for _ in range(2):
        _, wrong, status = run(bare, device, env)
        assert status == 2 and wrong.count("\n") == 1
        assert "'embedding' of the onnxruntime engine differs from torch" in wrong
        assert "removed" in wrong and not (device / "manifest.json").exists()
        assert len(list(device.rglob("engine.onnx"))) == 2  # the references
    assert main(["import", str(device / RESULTS)]) == 2


def test_another_device_is_told(bare: Path, loop: Loop, tmp_path: Path) -> None:
    device = tmp_path / "device"
    shutil.copytree(loop.home, device)
    delivery = json.loads((device / ORDER).read_text())
    delivery["fingerprint"]["cpu"] = "something else"
    (device / ORDER).write_text(json.dumps(delivery))
    _, wrong, status = run(bare, device, bare_environment(tmp_path / "loaded"))
    assert status == 2 and "another device (cpu: something else, here " in wrong


def given(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    return changed_row("given", change)


def off(row: dict[str, Any]) -> None:
    row["given"]["embedding"] = row["given"]["embedding"][::-1].replace("=", "A")


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "other outputs": given(off),
    "no outputs": given(lambda row: row["given"].clear()),
    "more outputs": given(lambda row: row["given"].update(more="AAAA")),
    "short outputs": given(lambda row: row["given"].update(embedding="AAAA")),
    "no base64": given(lambda row: row["given"].update(embedding="\x1b[2J")),
    "number for outputs": given(lambda row: row["given"].update(embedding=7)),
    "list for outputs": given(lambda row: row.update(given=["embedding"])),
    "other engine": given(lambda row: row["files"].update({"engine.onnx": "0" * 64})),
    "no hash": given(lambda row: row["files"].update({"engine.onnx": "x"})),
    "number for a hash": given(lambda row: row["files"].update({"engine.onnx": 7})),
    "path for a file": given(lambda row: row["files"].update({"engine./../x": "0" * 64})),
    "file of the folder": given(lambda row: row["files"].update({"model.onnx": "0" * 64})),
    "no files": given(lambda row: row["files"].clear()),
    "more fields": given(lambda row: row.update(out="/etc/passwd")),
    "other model": changed_row("jobs", lambda row: row["jobs"].update(engine=["0" * 64, "0" * 64])),
    "unknown job": visit(visit="network x"),
    "negative": visit(window=[9, -1.0, 1.0, 1.0, 1.0]),
    "other folder": header(kit="0" * 64),
    "other device": header(fingerprint={"cpu": "faster"}),
    "other threads": header(threads=4),
    "not checked": lambda data: b"".join(
        line for line in data.splitlines(keepends=True) if b'"given"' not in line
    ),
    "not measured": lambda data: b"".join(
        line for line in data.splitlines(keepends=True) if b'"visit"' not in line
    ),
    "not ended": lambda data: b"".join(
        line for line in data.splitlines(keepends=True) if b'"ended"' not in line
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_results_are_refused_in_one_line(
    how: str, loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / RESULTS
    bad.write_bytes(HOSTILE[how](loop.results.read_bytes()))
    assert bad.read_bytes() != loop.results.read_bytes()
    assert main(["import", str(bad), "--kit", str(loop.home)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hwsearch: error: ") and said.count("\n") == 1 and len(said) < 1000
    assert said.strip().isprintable()
    assert not (loop.home / "manifest.json").exists()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_folder_for_tensorrt_builds_an_engine_of_the_fake_one(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Needs no TensorRT here; there a stand-in computes what the graph says, timed by a stub."""
    home = made_elsewhere(made, tmp_path, monkeypatch, "tensorrt", precision, measure_seconds=3.0)
    model = "model.onnx" if precision == "fp32" else f"model_{precision}.onnx"
    (line,) = (x for x in (home / "README.txt").read_text().splitlines() if "trtexec --" in x)
    assert {f"--onnx={model}", "--stronglyTyped"} <= set(line.split())
    assert ("--noTF32" in line) == (precision == "fp32")
    said, wrong, status = run(sys.executable, home, fake_gpu(tmp_path / "gpu"))
    assert status == 0, wrong
    assert "board: tensorrt 10.3.0" in said
    manifest = read_manifest(home)
    assert (manifest.provider, manifest.engine) == ("CUDA Stub Orin", "engine.plan")
    assert {"engine.plan", "engine.json", "engine.layers.json", model} <= set(manifest.files)
    assert manifest.latency.measured_ms > 0 and manifest.versions["tensorrt"] == "10.3.0"
    assert manifest.parity.relative_error < manifest.parity.tolerance
    (home / "manifest.json").unlink()
    assert main(["import", str(home / RESULTS)]) == 0
    assert read_manifest(home) == manifest


def test_a_budget_elsewhere_is_kept_as_predicted(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here: this is no runtime of elsewhere")
    table = write_device_table(tmp_path, "tensorrt", "fp32")
    chosen = options(made, tmp_path / "search", tables=(str(table),), tables_dir=None)
    found = Evaluations.read(search(chosen))
    limit_ms = float(np.median(found.latencies(found.targets[0].table)))
    asked = DeployOptions(
        search=chosen.out, out=tmp_path / "engine", pick=f"max-latency-ms={limit_ms}"
    )
    latency = Delivery.read(deploy(asked) / ORDER).manifest["latency"]
    assert latency["high_ms"] <= limit_ms == latency["limit_ms"]
    said = capsys.readouterr().out
    assert "chosen by its prediction, latency_high_ms<=" in said
    assert "nothing was built or measured yet" in said and PROGRAM in said
    few = DeployOptions(search=chosen.out, out=tmp_path / "few", pick="max-latency-ms=0.001")
    with pytest.raises(HwsearchError, match="infeasible"):
        deploy(few)
