"""Fixtures: one small kit, measured once a session in a bare environment that is killed."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bare import bare_environment, make_bare
from moments import wait_for

from hwsearch.cli import main
from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal
from hwsearch.kit.jobs import PROGRAM, RESULTS
from hwsearch.kit.order import KIND
from hwsearch.profiling.pack import KitOptions, kit

SMALL: dict[str, Any] = {
    "space": "bottleneck-32",
    "runtime": "onnxruntime",
    "threads": 1,
    "device": "board",
    "budget_minutes": 8 / 60,
    "evidence": 3,
    "heldout": 1,
    "ships": ("classifier:10",),
}


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bare(tmp_path_factory.mktemp("bare"), ("numpy", "onnxruntime"))


@pytest.fixture(scope="session")
def kit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "board"
    kit(KitOptions(**SMALL, out=folder))
    return folder


def rows_of(results: Path) -> list[dict[str, Any]]:
    try:
        return read_journal(results, KIND)[1]
    except HwsearchError:  # not there yet
        return []


def start(python: Path, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Starts the kit as a person would, in a process group that a power cut ends."""
    return subprocess.Popen(
        [python, folder / PROGRAM, *words],
        env=bare_environment(folder / "loaded"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Measured:
    results: Path
    kept: tuple[list[dict[str, Any]], ...]
    said: str


@pytest.fixture(scope="session")
def measured(bare: Path, kit_folder: Path) -> Measured:
    """The kit, killed while it builds, at its start and on its way, then left in peace."""
    results, kept = kit_folder / RESULTS, []
    for moment in (
        lambda: any((kit_folder / "work").rglob("built.json")),
        lambda: any("visit" in row for row in rows_of(results)),
        lambda: sum("visit" in row for row in rows_of(results)) > 30,
    ):
        with start(bare, kit_folder) as child:
            wait_for(moment)
            os.killpg(child.pid, signal.SIGKILL)
        kept.append(rows_of(results))
    with start(bare, kit_folder) as child:
        said, wrong = child.communicate(timeout=120)
    assert child.returncode == 0, wrong
    return Measured(results, tuple(kept), said)


def imported(results: Path, out: Path, *words: str) -> int:
    return main(["import", str(results), "--out", str(out), *words])
