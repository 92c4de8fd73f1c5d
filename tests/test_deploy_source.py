"""What a delivery starts from: a network of a search by its number, and options that fit."""

from pathlib import Path

import numpy as np
import pytest
from far import write_device_table
from searches import SPACE, made, options

from hwsearch.arguments import parse_options
from hwsearch.cli import main
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.source import evaluated_point
from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.inputs import open_search
from hwsearch.search.run import search

__all__ = ["made"]


@pytest.fixture(scope="module")
def searched(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joint search for int8 and fp32 on this device."""
    folder = tmp_path_factory.mktemp("source")
    tables = [write_device_table(folder, "onnxruntime", name) for name in ("fp32", "int8")]
    out = folder / "search"
    known = {"tables": tuple(map(str, tables)), "tables_dir": None, "joint": True, "evaluations": 8}
    return search(options(made, out, distance="dense", **known))


def test_any_evaluation_can_be_delivered(searched: Path, tmp_path: Path) -> None:
    inputs, found = open_search(searched), Evaluations.read(searched)
    points = []
    for number, code in enumerate(found.codes):
        precision = found.space.decode(code)["precision"]
        table = next(table for table in inputs.tables if table.precision == precision)
        point = evaluated_point(inputs, [table], number)
        np.testing.assert_array_equal(found.space.encode(point.subnet), code)
        assert point.distance == found.distance[number]
        assert point.latency_ms == found.latencies(point.table)[number]
        assert point.low_ms <= point.latency_ms <= point.high_ms
        assert point == evaluated_point(inputs, inputs.tables, number)
        points.append(point)
    other = next(table for table in inputs.tables if not points[0].table.endswith(table.name))
    for table, number in ((other, 0), (inputs.tables[0], len(points)), (inputs.tables[0], 0.5)):
        with pytest.raises(HwsearchError, match=f"no evaluation {number} on"):
            evaluated_point(inputs, [table], number)
    chosen = points[-1]
    words = f"deploy {searched} --table board --pick evaluation={len(points) - 1}"
    assert main([*words.split(), "--measure-seconds", "1", "--out", str(tmp_path / "e")]) == 0
    manifest = read_manifest(tmp_path / "e")
    assert manifest.distance.searched == chosen.distance
    assert manifest.subnet == {name: chosen.subnet[name] for name in SPACE.minimum.as_dict()}


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        ("s --images photos", "--images means nothing beside --search"),
        ("s --task detection", "--task means nothing beside --search"),
        ("s --weights ema", "--weights means nothing beside --search"),
        ("s --max-images 9", "--max-images means nothing beside --search"),
        ("s --budget-seconds 9", "--budget-seconds means nothing without --pick max-latency-ms"),
        ("s --precision-tolerance 9", "--precision-tolerance .* without --precision auto"),
        (
            "s --pick max-latency-ms=1 --precision auto --precision-tolerance 9",
            "--precision-tolerance .* beside --pick max-latency-ms",
        ),
        ("--subnet max --images i --table t --pick knee", "--pick means nothing beside --subnet"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(words: str, idle: str) -> None:
    with pytest.raises(HwsearchError, match=idle):
        parse_options(
            DeployOptions,
            [*words.split(), "--out", "engine"],
            prog="",
            summary="",
            example="",
            positional=("search",),
        )
