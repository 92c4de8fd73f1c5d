"""Engines that take any number of images, or a camera's bytes: they compute what others do."""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from engines import assemble_engine
from far import made_elsewhere, run
from searches import made

from hwsearch.cli import main
from hwsearch.deploy.load import load
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.originals import Calls
from hwsearch.errors import HwsearchError
from hwsearch.export.calls import free_batch
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.kit.delivery import INPUTS
from hwsearch.kit.jobs import RESULTS
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable
from hwsearch.spaces import get_space, space_names

__all__ = ["made"]

PHOTOS = np.random.default_rng(0).integers(0, 256, (7, 40, 50, 3), np.uint8)
FAMILIES = [name for name in space_names() if name.endswith("-32")]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_takes_any_number_of_bytes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, precision: str
) -> None:
    """It computes bit for bit what one image a call gives; its parity is with normalised floats."""
    calls = Calls(any_batch=True, raw=True)
    folder, point = assemble_engine(
        made, tmp_path, monkeypatch, runtime, calls=calls, precision=precision, evaluations=2
    )
    manifest = read_manifest(folder)
    takes, (gives,) = manifest.input, manifest.outputs
    assert (takes.any_batch, takes.raw, takes.batch) == (True, True, 1)
    assert manifest.parity.relative_error < manifest.parity.tolerance
    assert manifest.distance.engine == pytest.approx(point.distance, abs=1e-2)
    text = (folder / "README.md").read_text()
    assert "uint8 [any number, 32, 32, 3]" in text and "itself" in text
    with load(folder) as engine:
        found = engine(PHOTOS)
        np.testing.assert_array_equal(found, np.concatenate([engine(one) for one in PHOTOS]))
        assert engine(np.repeat(PHOTOS, 10, 0)).shape == (70, *gives.shape)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_takes_any_number(tmp_path: Path, name: str) -> None:
    space = get_space(name)
    model = export_network(seeded_network(space.lower(space.minimum)), tmp_path / "model.onnx")
    path = model.file("onnx")
    inputs = np.random.default_rng(0).standard_normal((7, *space.input_shape), np.float32)
    found = []
    for times in (7, 1):
        runtime = get_runtime("onnxruntime")
        engine = runtime.build(Portable(path), tmp_path / str(times), BuildOptions())
        with runtime.load(engine, LoadOptions()) as loaded:
            chunks = np.split(inputs, times)
            given = [loaded.run({"image": chunk})["embedding"] for chunk in chunks]
            found.append(np.concatenate(given))
        free_batch(path)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)
    sizes = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert sizes[0].dim_param == "batch"


def test_what_a_runtime_cannot_do_is_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls, flag in ((Calls(any_batch=True), "--dynamic-batch"), (Calls(raw=True), "--raw-inp")):
        with pytest.raises(HwsearchError, match=f"{flag}.* is not for torch"):
            assemble_engine(made, tmp_path / flag, monkeypatch, "torch", calls=calls)


def test_a_build_folder_makes_such_an_engine_too(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_elsewhere(
        made, tmp_path, monkeypatch, "onnxruntime", "int8", raw_input=True, dynamic_batch=True
    )
    assert np.load(folder / INPUTS).dtype == np.uint8
    _, wrong, status = run(sys.executable, folder, dict(os.environ))
    assert status == 0, wrong
    manifest = read_manifest(folder)
    assert manifest.parity.relative_error < manifest.parity.tolerance
    assert main(["import", str(folder / RESULTS)]) == 0
    assert "uint8 [any number, 32, 32, 3]" in (folder / "README.md").read_text()
    with load(folder) as engine:
        assert engine(PHOTOS).shape == (7, *manifest.outputs[0].shape)
