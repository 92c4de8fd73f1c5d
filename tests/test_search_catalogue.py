"""Searches among ready ONNX files, and their fronts beside those of a supernet."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from searches import write_checkpoint
from synthetic_device import SyntheticDevice

from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.latency.table import Table
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue

SUPERNET = "bottleneck-32"
SIDES = {"large": 32, "middle": 24, "small": 16}


def write_models(folder: Path) -> Catalogue:
    """Writes three networks of a family, each for another side and with random weights."""
    for name, side in SIDES.items():
        space = get_space(f"{SUPERNET}@{side}")
        subnet = space.maximum if name == "large" else space.minimum
        export_network(seeded_network(space.lower(subnet)), folder / f"{name}.onnx")
    (folder / "catalogue.toml").write_text('[small]\nweights = "random"\n')
    catalogue = get_space(f"catalogue:{folder}")
    assert isinstance(catalogue, Catalogue)
    return catalogue


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    catalogue = write_models(folder / "models")
    for name, space, networks in (("models", catalogue, 3), (SUPERNET, get_space(SUPERNET), 24)):
        table = SyntheticDevice(space).table(networks, blocks=False)
        replace(table, path=folder / f"{name}.jsonl").write()
    write_checkpoint(folder / "run")
    return folder


def options(made: Path, out: Path, **changes: object) -> SearchOptions:
    given = {
        "tables": (str(made / "models.jsonl"),),
        "images": "sklearn:digits",
        "max_images": 12,
        "evaluations": 8,
        "batch": 4,
        "stop_gain": 0.0,
        "out": out,
    }
    return SearchOptions(**given | changes)


@pytest.fixture(scope="module")
def beside(made: Path) -> tuple[Path, Path]:
    """A supernet's search and a catalogue's, with the supernet's largest network as teacher."""
    run = made / "run"
    tables = (str(made / f"{SUPERNET}.jsonl"),)
    supernet = options(made, made / "one", checkpoint=run, tables=tables, distance="relation")
    return search(supernet), search(options(made, made / "two", checkpoint=run))


def test_every_model_is_evaluated_on_images_of_its_side(made, tmp_path, capsys):
    out = search(options(made, tmp_path / "out", teacher="large", evaluations=8))
    assert "Random weights, so distances mean nothing: small" in capsys.readouterr().out
    found, opened = Evaluations.read(out), open_search(out)
    names = [str(found.space.decode(code)["model"]) for code in found.codes]
    distance = dict(zip(names, found.distance, strict=True))
    assert set(distance) == set(SIDES)
    assert distance["large"] == 0.0
    assert min(distance["middle"], distance["small"]) > 1e-3
    last = read_front(out)[-1]
    assert (str(last.subnet), last.distance) == ("model=large", 0.0)
    assert opened.distance()(last.subnet) == 0.0
    assert opened.teacher.subnet == last.subnet


def test_a_table_that_lacks_a_model_is_refused(made, tmp_path):
    table = Table.read(made / "models.jsonl")
    kept = tuple(row for row in table.rows if row.subnet.get("model") != "small")
    replace(table, path=tmp_path / "short.jsonl", rows=kept).write()
    short = {"tables": (str(tmp_path / "short.jsonl"),), "teacher": "large"}
    with pytest.raises(HwsearchError, match=r"1 models.*not measured: small.*hwsearch profile"):
        search(options(made, tmp_path / "out", **short))
    assert not (tmp_path / "out").exists()


def test_an_onnx_file_can_teach_a_supernet(made, tmp_path):
    tables, teacher = (str(made / f"{SUPERNET}.jsonl"),), str(made / "models" / "large.onnx")
    given = options(made, tmp_path / "out", checkpoint=made / "run", tables=tables, teacher=teacher)
    assert Evaluations.read(search(given)).distance.min() > 1e-3


def test_a_supernet_and_a_catalogue_have_one_front(beside: tuple[Path, Path]):
    one, two = beside
    files = report(ReportOptions(directory=one, beside=(two,)))
    assert [file.suffix for file in files[:4]] == [".png", ".svg", ".csv", ".json"]
    rows = list(csv.DictReader(files[2].read_text().splitlines()))
    assert {row["search"] for row in rows} <= {str(one), str(two)}
    assert [row["index"] for row in rows] == [str(index) for index in range(len(rows))]
    assert [row["knee"] for row in rows].count("True") == 1
    for column, sign in (("latency_ms", 1), ("distance", -1)):
        assert np.all(sign * np.diff([float(row[column]) for row in rows]) > 0)
    for point in (*read_front(one), *read_front(two)):
        assert any(
            float(row["latency_ms"]) <= point.latency_ms
            and float(row["distance"]) <= point.distance
            for row in rows
        )
    svg = files[1].read_text()
    assert "catalogue models (3 of 3)" in svg
    assert "middle" in svg
    assert "MAX" in svg


def test_distances_to_another_teacher_are_not_mixed(made, beside, tmp_path):
    other = search(options(made, tmp_path / "out", teacher="large"))
    with pytest.raises(HwsearchError, match=r"with another teacher.*same teacher"):
        report(ReportOptions(directory=beside[0], beside=(other,)))
    fewer = search(options(made, tmp_path / "few", checkpoint=made / "run", max_images=9))
    with pytest.raises(HwsearchError, match="with other images"):
        report(ReportOptions(directory=beside[1], beside=(fewer,)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"no teacher of its own.*--checkpoint.*--teacher.*small"),
        ({"teacher": "larg"}, r"unknown model of --teacher 'larg'. Did you mean large"),
        ({"teacher": "large", "checkpoint": "run"}, "two teachers"),
        ({"teacher": "large", "distance": "projection"}, "Use --distance relation"),
        ({"tables": (f"{SUPERNET}.jsonl",)}, "--checkpoint must be given to search space"),
    ],
)
def test_what_has_no_teacher_is_refused(made, tmp_path, changes, message):
    if "checkpoint" in changes:
        changes = changes | {"checkpoint": made / changes["checkpoint"]}
    if "tables" in changes:
        changes = changes | {"tables": (str(made / changes["tables"][0]),)}
    with pytest.raises(HwsearchError, match=message):
        search(options(made, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()
