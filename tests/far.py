"""Build folders made from a table that pretends to be of another device than the deploying one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from searches import options, write_table

from hwsearch.deploy import far
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.device import fingerprint
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table
from hwsearch.profiling.models import reference_models
from hwsearch.profiling.workshop import Workshop
from hwsearch.search.run import search

Folder = Callable[..., Path]


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
