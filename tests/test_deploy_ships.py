"""What ships around an engine counts for its budget, and never twice."""

from pathlib import Path

import pytest
from engines import assemble_engine
from msgspec.structs import replace
from searches import made

from hwsearch.deploy.budget import open_budget
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.proof import high_ms
from hwsearch.deploy.tell import tell_engine
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.heads import parse_extra
from hwsearch.profiling.remeasure import Measured
from hwsearch.report.engines import read_engines
from hwsearch.report.panel import Search
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import open_search

__all__ = ["made"]

SHIPS = ("classifier:10", "camera:96")


@pytest.fixture(scope="module")
def delivered(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FrontPoint]:
    """An engine without a head, of a product with a head and a camera."""
    folder = tmp_path_factory.mktemp("ships")
    with pytest.MonkeyPatch.context() as patches:
        return assemble_engine(made, folder, patches, "onnxruntime", ships=SHIPS)


def test_an_engine_is_expected_alone_and_drawn_as_it_ships(delivered, capsys) -> None:
    out, point = delivered
    latency, search = read_manifest(out).latency, out.parent / "search"
    assert latency.around_ms > 0
    assert latency.predicted_ms == pytest.approx(point.latency_ms - latency.around_ms)
    assert latency.low_ms < latency.predicted_ms < latency.high_ms
    (drawn,) = read_engines([out], [Search.read(search)])
    assert drawn.predicted_ms == pytest.approx(point.latency_ms)
    assert drawn.measured_ms == pytest.approx(latency.measured_ms + latency.around_ms)
    tell_engine(out, read_manifest(out))
    assert f"{latency.measured_ms:.3f} ms and {latency.around_ms:.3f} ms around it" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("inside", [(), ("classifier:10",)], ids=["alone", "with its head"])
def test_a_budget_is_for_all_that_ships_and_counts_nothing_twice(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivered, inside
) -> None:
    out, point = delivered
    if inside:
        head = ClassifierHead(load_labelled("sklearn:digits", 32, limit=200))
        known = {"head": head, "ships": SHIPS}
        out, point = assemble_engine(made, tmp_path, monkeypatch, "onnxruntime", **known)
    inputs, latency = open_search(out.parent / "search"), read_manifest(out).latency
    outside = tuple(parse_extra(text) for text in SHIPS if text not in inside)
    ships = inputs.devices()[0].costs.latency
    assert latency.around_ms == pytest.approx(ships.around_ms(point.subnet, outside))
    surely = replace(latency, measured_stderr_rel=0.0)
    whole_ms = high_ms(Measured(latency.measured_ms, 0.0, 1, ())) + latency.around_ms
    for limit_ms in (0.99 * whole_ms, 1.01 * whole_ms):
        with open_budget(limit_ms, inputs, inputs.tables) as budget:
            assert budget.holds(point, surely) == (whole_ms <= limit_ms)
            (row,) = budget.journal.rows
    head_ms = ships.around_ms(point.subnet, tuple(map(parse_extra, inside)))
    assert row["latency_ms"] == pytest.approx(latency.measured_ms - head_ms)
