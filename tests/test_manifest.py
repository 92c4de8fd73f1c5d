"""Manifests: what a damaged, foreign or hostile engine folder is told."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from hwsearch.deploy.manifest import (
    SCHEMA,
    Distance,
    Input,
    Latency,
    Manifest,
    Output,
    OutputError,
    Parity,
    check_files,
    read_manifest,
    write_manifest,
)
from hwsearch.deploy.tell import tell_findings
from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.kit.outcome import manifest_text

INPUT = {"name": "image", "side": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "batch": 1}
TOLD = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "images": 9, "images_fingerprint": "images"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "engine.onnx").write_bytes(b"an engine")
    manifest = Manifest(
        schema=SCHEMA,
        space="bottleneck-32",
        subnet={"stem": 8},
        table="table",
        runtime="onnxruntime",
        provider="CPUExecutionProvider",
        precision="fp32",
        threads=1,
        engine="engine.onnx",
        input=Input("image", 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 1),
        outputs=(Output("embedding", (4,)),),
        latency=Latency(1.0, 0.9, 1.1, 1.02, 0.01, (), None),
        parity=Parity(4, "torch", 1e-3, {"embedding": OutputError(1e-6, 1e-7, 1e-7)}),
        distance=Distance(0.1, 0.1, 0.1, 4, "images", "online"),
        classifier=None,
        checkpoint="weights",
        device={"cpu": "some"},
        versions={"python": "3"},
        created="2026-01-01T00:00:00+00:00",
        files={"engine.onnx": sha256_of(tmp_path / "engine.onnx")},
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(manifest_text(json.loads(path.read_text()) | changes))


def test_a_manifest_reads_back_and_its_files_match(folder: Path):
    manifest = read_manifest(folder)
    assert manifest.latency.measured_ms == 1.02
    check_files(folder, manifest)


@pytest.mark.parametrize(("measured_ms", "place"), [(1.02, "inside"), (1.2, "outside")])
def test_where_the_latency_lies_is_told(folder: Path, capsys, measured_ms: float, place: str):
    manifest = read_manifest(folder)
    latency = replace(manifest.latency, measured_ms=measured_ms)
    tell_findings(replace(manifest, latency=latency))
    assert f"{measured_ms:.3f} ms, {place} the expected interval" in capsys.readouterr().out


def test_a_changed_file_is_refused(folder: Path):
    (folder / "engine.onnx").write_bytes(b"another engine")
    with pytest.raises(HwsearchError, match="does not match its hash"):
        check_files(folder, read_manifest(folder))


def test_a_missing_or_linked_file_is_refused(folder: Path, tmp_path: Path):
    (folder / "engine.onnx").unlink()
    with pytest.raises(HwsearchError, match="is missing"):
        check_files(folder, read_manifest(folder))
    (folder / "engine.onnx").symlink_to("/etc/hostname")
    with pytest.raises(HwsearchError, match="is missing"):
        check_files(folder, read_manifest(folder))


def test_a_file_that_cannot_be_read_is_told(folder: Path):
    name = "a" * 300  # no file system has such names
    edit(folder, engine=name, files={name: "0"})
    with pytest.raises(HwsearchError, match="cannot read a file of the engine"):
        check_files(folder, read_manifest(folder))


@pytest.mark.parametrize("name", ["../engine.onnx", "/etc/passwd", "..", "a/b", "c:\\d", ""])
def test_files_outside_the_folder_are_refused(folder: Path, name: str):
    edit(folder, engine=name)
    with pytest.raises(HwsearchError, match="outside its folder"):
        read_manifest(folder)
    edit(folder, engine="engine.onnx", files={name: "0"})
    with pytest.raises(HwsearchError, match="outside its folder"):
        read_manifest(folder)


def test_an_engine_without_a_hash_is_refused(folder: Path):
    edit(folder, files={})
    with pytest.raises(HwsearchError, match="no hash"):
        check_files(folder, read_manifest(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 1}, "schema 1;"),
        ({"schema": 99}, "schema 99"),
        ({"latency": "fast"}, "malformed manifest"),
    ],
)
def test_other_formats_are_refused(folder: Path, changes: dict[str, object], message: str):
    edit(folder, **changes)
    with pytest.raises(HwsearchError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize(
    "changes",
    [
        *({"input": {**INPUT, "batch": batch}} for batch in (0, -1, 10**12)),
        *({"input": {**INPUT, "side": side}} for side in (0, -3, 10**6)),
        {"input": {**INPUT, "std": [0, 0, 0]}},
        {"outputs": []},
        {"outputs": [{"name": "embedding", "shape": []}]},
        {"threads": 0},
        {"classifier": {**TOLD, "classes": ["a"]}, "outputs": [{"name": "scores", "shape": [2]}]},
        {"classifier": {**TOLD, "classes": ["a"]}},
    ],
)
def test_what_cannot_be_is_refused_whatever_its_checksum(folder: Path, changes: dict):
    edit(folder, **changes)
    with pytest.raises(HwsearchError, match="malformed manifest"):
        read_manifest(folder)


def test_a_number_that_python_does_not_read_is_refused(folder: Path):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("{", '{"more": ' + "9" * 5000 + ",", 1))
    with pytest.raises(HwsearchError, match="malformed manifest"):
        read_manifest(folder)


def test_a_manifest_that_was_changed_is_refused(folder: Path):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("1.02", "0.02"))
    with pytest.raises(HwsearchError, match="does not match its own checksum"):
        read_manifest(folder)


def test_a_folder_without_a_manifest_names_the_verb_that_makes_one(tmp_path: Path):
    with pytest.raises(HwsearchError, match="hwsearch deploy"):
        read_manifest(tmp_path / "nowhere")
