"""Engines that are built and checked here from a table of an invented device."""

from pathlib import Path

import pytest
from searches import options, write_table

from hwsearch.deploy import assemble
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.manifest import write_manifest
from hwsearch.deploy.originals import Calls
from hwsearch.profiling.remeasure import Measured
from hwsearch.search.front import FrontPoint, read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.run import search

PLAIN = Calls()


def assemble_engine(
    made: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    *,
    head: ClassifierHead | None = None,
    calls: Calls = PLAIN,
    precision: str = "fp32",
    ships: tuple[str, ...] = (),
    **given: object,
) -> tuple[Path, FrontPoint]:
    """Searches and assembles the fastest network; its latency is not measured.

    Returns:
        The engine's folder, and the network as the search found it.
    """
    monkeypatch.setattr(assemble, "require_this_device", lambda table: None)
    measured = Measured(1.0, 0.01, 5, ())
    monkeypatch.setattr(assemble, "remeasure", lambda models, *_, **__: {"engine": measured})
    table = write_table(folder, runtime, precision=precision, threads=1, ships=ships)
    known = {"tables": (str(table),), "tables_dir": None, "evaluations": 4, "ships": ships}
    found = open_search(search(options(made, folder / "search", **known | given)))
    point, out = read_front(folder / "search")[0], folder / "engine"
    distance = assemble.engine_distance(found)
    write_manifest(out, assemble.Assembler(out, found, distance, 1.0, head, calls)(point))
    return out, point
