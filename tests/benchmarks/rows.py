"""Result journals of the benchmarks: one row a unit of evidence, never measured twice."""

import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hwsearch.device import detect
from hwsearch.journal import Journal

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("hwsearch", "torch", "onnxruntime", "openvino", "numpy")


def open_results(benchmark: str) -> Journal:
    """Opens the committed journal of a benchmark, to be read and appended to."""
    return Journal.open(RESULTS / f"{benchmark}.jsonl", "benchmark", {"benchmark": benchmark})


def add_row(journal: Journal, figures: Mapping[str, Any]) -> None:
    """Appends figures with what is needed to repeat them: command, device, versions, date."""
    journal.append(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(map(_without_folder, sys.argv)),
            "device": detect().name,
            "versions": _versions(),
            **figures,
        }
    )


def _versions() -> dict[str, str]:
    """Names what is installed: a machine that only trains needs no OpenVINO."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _without_folder(word: str) -> str:
    """Shortens a path to its name: where files lay repeats nothing."""
    return Path(word).name if "/" in word else word
