"""What the README in an engine's folder tells to do works without hwsearch, and gives the same."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from engines import assemble_engine
from msgspec.structs import replace
from PIL import Image
from searches import made

import hwsearch
from hwsearch.data.prepare import prepare
from hwsearch.deploy.manifest import Classifier, Output, read_manifest
from hwsearch.deploy.originals import Calls
from hwsearch.deploy.readme import readme

__all__ = ["made"]

PHOTO = np.random.default_rng(0).integers(0, 256, (48, 70, 3), np.uint8)
LAST = "    np.save(f'{name}.npy', output)\n"


@pytest.fixture(params=["onnxruntime", "openvino", "onnxruntime raw", "openvino raw"])
def engine(made, tmp_path, monkeypatch, request) -> Path:
    runtime, _, raw = request.param.partition(" ")
    calls = Calls(any_batch=bool(raw), raw=bool(raw))
    folder, _ = assemble_engine(
        made, tmp_path, monkeypatch, runtime, calls=calls, task="segmentation"
    )
    Image.fromarray(PHOTO).save(folder / "photo.png")
    return folder


def blocks(folder: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def test_its_python_gives_the_same(engine):
    own, bare = blocks(engine, "python")
    for code in (own, bare + LAST):
        words = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(words, cwd=engine, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "stage4 (1, 256, 4, 4)" in done.stdout
    with hwsearch.load(engine) as loaded:
        for name, expected in loaded.outputs(PHOTO).items():
            np.testing.assert_allclose(np.load(engine / f"{name}.npy"), expected, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
@pytest.mark.parametrize("engine", ["openvino", "openvino raw"], indirect=True)
def test_its_cpp_gives_the_same(engine):
    """Only OpenVINO's Python package brings headers."""
    (code,) = blocks(engine, "cpp")
    (engine / "main.cpp").write_text(code)
    package = Path(openvino.__file__).parent
    (library,) = (package / "libs").glob("libopenvino.so.*")
    words = ["g++", "-std=c++17", "main.cpp", "-I", str(package / "include"), str(library)]
    words += [f"-Wl,-rpath,{library.parent}", "-o", "main"]
    subprocess.run(words, cwd=engine, check=True)
    (engine / "photo.rgb").write_bytes(prepare(PHOTO, 32).tobytes())
    said = subprocess.run(
        ["./main", "photo.rgb"], cwd=engine, capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split() for line in said.splitlines())
    with hwsearch.load(engine) as loaded:
        first = {name: float(x.ravel()[0]) for name, x in loaded.outputs(PHOTO).items()}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino raw"], indirect=True)
def test_names_stay_names(engine):
    """Names of classes, models and ports may be anybody's: none becomes Markdown, HTML or code."""
    evil = 'a`|"]);\nimport os\n```\n# <script>alert(1)</script> [x](javascript:1) \\'
    known = read_manifest(engine)
    told = Classifier((evil, "b"), 0.5, 0.4, 0.6, 9, "images")
    text = readme(
        replace(
            known,
            space=evil,
            subnet={"model": evil},
            input=replace(known.input, name=evil),
            outputs=(Output(evil, (4,)),),
            classifier=told,
        ),
        device=evil,
    )
    fenced = re.findall(r"^```(?:python|cpp)\n.*?^```$", text, re.DOTALL | re.MULTILINE)
    assert len(fenced) == 3 and text.count("\n```") == 6
    for block in fenced:
        text = text.replace(block, "")
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert not any(part in outside for part in ("<script", "javascript", "import os"))
    rows = [line for line in text.splitlines() if line.startswith("| input")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 4
    compile(fenced[1].removeprefix("```python").removesuffix("```"), "README.md", "exec")
    assert json.dumps(evil) in fenced[1] and json.dumps(evil) in fenced[2]
