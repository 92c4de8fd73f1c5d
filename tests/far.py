"""Build folders made from a table that pretends to be of another device than the deploying one."""

import os
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from searches import options, write_table
from stub_libraries import compile_cudart

from hwsearch.deploy import far
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.device import fingerprint
from hwsearch.journal import sha256_of
from hwsearch.kit.delivery import PROGRAM
from hwsearch.latency.table import Table
from hwsearch.profiling.models import reference_models
from hwsearch.profiling.workshop import Workshop
from hwsearch.search.run import search


def write_device_table(folder: Path, runtime: str, precision: str) -> Path:
    """Writes a table of this machine whose references can be made again."""
    path = write_table(folder, runtime, precision=precision)
    table, workshop = Table.read(path), Workshop(folder / "w", runtime, precision, 1)
    references = tuple(
        replace(reference, model_sha256=sha256_of(workshop.export(model)))
        for reference, model in zip(table.header.references, reference_models(), strict=True)
    )
    header = replace(
        table.header, references=references, fingerprint=fingerprint(), threads=1, device="board"
    )
    replace(table, header=header, path=path.with_name(f"{header.name}.jsonl")).write()
    path.unlink()
    return path.with_name(f"{header.name}.jsonl")


def made_elsewhere(
    made: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    precision: str,
    **given: object,
) -> Path:
    """Searches and deploys on what says it is another machine; returns the build folder."""
    table = write_device_table(folder, runtime, precision)
    found = options(made, folder / "search", tables=(str(table),), tables_dir=None, evaluations=4)
    monkeypatch.setattr(far, "fingerprint", lambda: {"cpu": "another"})
    asked = {"search": search(found), "out": folder / "engine", "measure_seconds": 2.0}
    return deploy(DeployOptions(**asked | given))


def start(python: Path | str, folder: Path, env: dict[str, str], *words: str) -> "Popen[str]":
    """Starts the program of a build folder as a person would, in a process group of its own."""
    return Popen(
        [python, folder / PROGRAM, *words],
        env=env,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        start_new_session=True,
    )


def run(python: Path | str, folder: Path, env: dict[str, str], *words: str) -> tuple[str, str, int]:
    """Lets that program end; returns what it said, what it complained of, and its status."""
    with start(python, folder, env, *words) as child:
        said, wrong = child.communicate(timeout=120)
    return said, wrong, child.returncode


TENSORRT = """\
import sys
import fake_tensorrt, onnxruntime

class Evaluator:
    sessions = {}

    def __init__(self, model):
        if id(model) not in self.sessions:
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 3
            self.sessions[id(model)] = onnxruntime.InferenceSession(
                model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
            )
        self.session = self.sessions[id(model)]

    def run(self, names, feed):
        return self.session.run(names, feed)

fake_tensorrt.ReferenceEvaluator = Evaluator
sys.modules[__name__] = fake_tensorrt
"""
"""The stand-in of tests/fake_tensorrt.py, on a faster evaluator: whole programs run it."""


def fake_gpu(folder: Path) -> dict[str, str]:
    """Returns an environment in which TensorRT and CUDA are there, though only as stand-ins."""
    folder.mkdir()
    compile_cudart(folder)
    (folder / "tensorrt.py").write_text(TENSORRT)
    paths = os.pathsep.join((str(folder), str(Path(__file__).parent)))
    return {**os.environ, "PYTHONPATH": paths, "LD_LIBRARY_PATH": str(folder)}
