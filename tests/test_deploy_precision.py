"""One network in several precisions: compared in one process, and the best delivered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from far import write_device_table
from onnx import numpy_helper
from searches import made, options

import hwsearch
from hwsearch.cli import main
from hwsearch.deploy import assemble, compare
from hwsearch.deploy.manifest import InPrecision, read_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.precisions import best_precision
from hwsearch.deploy.run import deploy
from hwsearch.errors import HwsearchError
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import Measured, remeasure
from hwsearch.search.front import read_front
from hwsearch.search.run import search

__all__ = ["made"]


def told(precision: str, ms: float, distance: float) -> InPrecision:
    return InPrecision(precision, ms, 0.99 * ms, 1.01 * ms, ms, distance)


def test_the_best_precision_is_the_closest_within_a_budget_or_the_fastest_close_enough() -> None:
    found = [
        told("fp32", 2.0, 0.10),
        InPrecision("bf16", None, None, None, None, None, "not here"),
        told("fp16", 1.5, 0.104),
        told("int8", 1.0, 0.12),
    ]

    def best(limit_ms: float | None, tolerance: float = 0.05) -> str:
        most_ms = dict.fromkeys(("fp32", "fp16", "int8"), limit_ms) if limit_ms else None
        chosen = best_precision(found, most_ms, tolerance)
        return chosen.precision if chosen else ""

    assert [best(ms) for ms in (2.1, 2.01, 1.6, 1.1, 0.9)] == ["fp32", "fp16", "fp16", "int8", ""]
    assert [best(None, share) for share in (0.0, 0.05, 0.2)] == ["fp32", "fp16", "int8"]
    own = [told("fp32", 2.0, 0.0), told("int8", 1.0, 0.002)]
    assert best_precision(own, None, 0.05) == own[1]
    assert best_precision(own, None, 0.03) == own[0]


@pytest.fixture(scope="module")
def tables(made: Path) -> list[Path]:
    return [write_device_table(made / "t", "onnxruntime", name) for name in ("fp32", "int8")]


def asked(made: Path, table: Path, out: Path, **more: object) -> DeployOptions:
    given: dict[str, object] = {
        "subnet": "min",
        "checkpoint": made / "run",
        "images": "sklearn:digits",
        "max_images": 16,
        "table": str(table),
        "measure_seconds": 1.0,
        "out": out,
    }
    return DeployOptions(**given | more)  # pyright: ignore[reportArgumentType]


def test_all_precisions_are_measured_in_one_process_and_told(
    made: Path,
    tables: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cohorts = []

    def noted(models, table, **given):
        cohorts.append((sorted(models), table.precision))
        return remeasure(models, table, **given)

    monkeypatch.setattr(compare, "remeasure", noted)
    out = deploy(
        asked(made, tables[1], tmp_path / "e", precision="auto", precision_tolerance=1000.0)
    )
    assert cohorts == [(["fp32", "int8"], "fp32")]
    manifest = read_manifest(out)
    exact, low = manifest.precisions
    assert (exact.precision, low.precision, exact.ratio) == ("fp32", "int8", 1.0)
    assert low.ratio == pytest.approx(low.latency_ms / exact.latency_ms)
    assert exact.latency_ms and low.latency_ms and exact.latency_ms != low.latency_ms
    chosen = exact if exact.latency_ms < low.latency_ms else low
    assert (
        manifest.precision
        == chosen.precision
        == Table.read(next(path for path in tables if manifest.table.endswith(path.stem))).precision
    )
    assert manifest.latency.measured_ms == chosen.latency_ms
    assert manifest.distance.engine == chosen.distance
    assert f"| int8 | {low.latency_ms:.3f} |" in (out / "README.md").read_text()
    said = capsys.readouterr().out
    assert "The network in each precision" in said and "chosen" in said
    assert list(tmp_path.iterdir()) == [out]
    with hwsearch.load(out) as engine:
        assert engine.manifest == manifest


def test_an_engine_that_cannot_be_delivered_is_told_and_left_out(
    made: Path,
    tables: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = compare.Assembler.build

    def refusing(self, point):
        if "int8" in point.table:
            raise HwsearchError("much further from the teacher")
        return build(self, point)

    monkeypatch.setattr(compare.Assembler, "build", refusing)
    measured = {"fp32": Measured(1.0, 0.01, 5, ())}
    monkeypatch.setattr(compare, "remeasure", lambda *_, **__: measured)
    # The table that is named knows no int8: its network becomes a candidate in both.
    manifest = read_manifest(deploy(asked(made, tables[0], tmp_path / "e", precision="auto")))
    assert manifest.precision == "fp32"
    assert manifest.precisions[1].refused == "much further from the teacher"
    assert "much further" in capsys.readouterr().out


def test_a_precision_can_be_forced_and_needs_a_table(
    made: Path, tables: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"engine": Measured(1.0, 0.01, 5, ())}
    monkeypatch.setattr(assemble, "remeasure", lambda *_, **__: measured)
    manifest = read_manifest(deploy(asked(made, tables[0], tmp_path / "e", precision="int8")))
    assert (manifest.precision, manifest.precisions) == ("int8", ())
    assert manifest.table.endswith(tables[1].stem)
    with pytest.raises(HwsearchError, match=r"precision of onnxruntime 'bf16'.*Known: fp32, int8"):
        deploy(asked(made, tables[0], tmp_path / "f", precision="bf16"))
    alone = write_device_table(tmp_path / "t", "onnxruntime", "fp32")
    with pytest.raises(HwsearchError, match=r"no int8 table .*--precision int8 --batch 1"):
        deploy(asked(made, alone, tmp_path / "f", precision="int8"))
    with pytest.raises(HwsearchError, match="Did you mean int8"):
        asked(made, tables[0], tmp_path / "g", precision="int")


@pytest.mark.parametrize("case", [("avx2", 64), ("avx2 avx_vnni", 127)])
def test_weights_keep_to_the_range_that_the_processor_can_add(
    made: Path, tables: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case
) -> None:
    isa, most = case
    table = Table.read(tables[1])
    here = {**table.header.fingerprint, "architecture": "x86_64", "isa": isa}
    path = tmp_path / "t" / table.path.name
    replace(table, path=path, header=replace(table.header, fingerprint=here)).write()
    monkeypatch.setattr(assemble, "require_this_device", lambda table: None)
    measured = {"engine": Measured(1.0, 0.01, 5, ())}
    monkeypatch.setattr(assemble, "remeasure", lambda *_, **__: measured)
    folder = deploy(asked(made, path, tmp_path / "e"))
    graph = onnx.load(folder / "model_int8.onnx").graph
    weights = [numpy_helper.to_array(item) for item in graph.initializer if len(item.dims) == 4]
    assert most - 1 <= max(np.abs(weight.astype(int)).max() for weight in weights) <= most


def test_a_budget_takes_the_closest_of_all_searched_precisions(
    made: Path, tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tuple(map(str, tables))
    found = options(made, tmp_path / "s", tables=both, tables_dir=None, evaluations=8)
    search(found)
    wide = max(point.latency_ms for point in read_front(found.out)) * 50
    words = f"deploy {found.out} --pick max-latency-ms={wide} --table {tables[1].stem} --out"
    more = f"{tmp_path / 'e'} --precision auto --measure-seconds 1 --budget-seconds 0.1"
    assert main([*words.split(), *more.split()]) == 0
    manifest = read_manifest(tmp_path / "e")
    assert manifest.latency.limit_ms == wide
    least = min(one.distance or 0.0 for one in manifest.precisions)
    assert manifest.distance.engine == least
    assert manifest.distance.searched == 0.0 and manifest.precision == "fp32"
    alone = options(made, tmp_path / "o", tables=both[:1], tables_dir=None, evaluations=4)
    search(alone)
    capsys.readouterr()
    refused = ["deploy", str(alone.out), "--pick", "max-latency-ms=9", "--precision", "int8"]
    assert main([*refused, "--out", str(tmp_path / "f")]) == 2
    assert "the search has no int8 table" in capsys.readouterr().err


def test_nothing_is_compared_for_a_device_elsewhere(
    made: Path, tables: list[Path], tmp_path: Path
) -> None:
    table = Table.read(tables[0])
    header = replace(table.header, fingerprint={"cpu": "another"}, device="elsewhere")
    replace(table, header=header, path=tmp_path / tables[0].name).write()
    with pytest.raises(HwsearchError, match=r"cannot be built here.*--precision fp32"):
        deploy(asked(made, tmp_path / tables[0].name, tmp_path / "e", precision="auto"))
