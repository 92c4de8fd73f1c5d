"""A network of the supernet itself as the teacher: named, or found by its effective rank."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
from searches import SPACE, made, options, write_checkpoint, write_table

from hwsearch.checkpoint import load_run
from hwsearch.cli import main
from hwsearch.correlation.analysis import MEAN
from hwsearch.correlation.show import CSV
from hwsearch.distance import SupernetStudents, load_target
from hwsearch.distance.best_teacher import teacher_by_rank
from hwsearch.distance.controls.spectrum import Spectrum
from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.run import search
from hwsearch.spaces.precisions import FULL, precision_of, with_precisions

__all__ = ["made"]

TEACHER = """
import torch

def teacher():
    torch.manual_seed({seed})
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 8))
"""


def test_no_network_that_was_looked_at_has_a_higher_rank(made, tmp_path, capsys) -> None:
    images = load_target("sklearn:digits", 32, limit=16)
    space = with_precisions(SPACE, ["int8"])
    students = SupernetStudents(load_run(made / "run"), images, space=space)
    rank, looked_at = Spectrum(students).rank, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spectrum, "rank", lambda self, one: looked_at.append(one) or rank(one))
        teacher = teacher_by_rank(students, tmp_path, drawn=6)
        ranked = len(looked_at)
        assert teacher_by_rank(students, tmp_path, drawn=6) == teacher
        assert len(looked_at) == ranked  # what is known is not asked again
    assert 4 <= len(looked_at) == len(set(looked_at)) <= 7
    assert looked_at[0] == space.maximum
    assert {precision_of(space, subnet) for subnet in looked_at} == {FULL}
    assert rank(teacher.subnet) == max(map(rank, looked_at))
    assert f"The teacher is {teacher.subnet}" in capsys.readouterr().out
    teacher_by_rank(students, tmp_path / "elsewhere", drawn=6)
    (kept,), (again,) = (sorted(one.glob("ranks-*")) for one in (tmp_path, tmp_path / "elsewhere"))
    assert kept.read_bytes() == again.read_bytes()


def test_a_search_finds_its_teacher_once_and_names_it(made, tmp_path, monkeypatch) -> None:
    fixed = "depth3=2,stem=16"
    out = search(options(made, tmp_path / "out", teacher="rank", fixed=fixed, evaluations=8))
    monkeypatch.setattr("hwsearch.search.teachers.teacher_by_rank", lambda *_: pytest.fail("again"))
    opened = open_search(out)
    assert opened.options.teacher == str(opened.teacher.subnet)
    assert (opened.teacher.subnet["depth3"], opened.teacher.subnet["stem"]) == (2, 16)
    assert Evaluations.read(out).yardstick.distance == "relation"
    assert read_front(out)[-1].subnet == opened.teacher.subnet
    assert read_front(out)[-1].distance == 0


def test_any_network_can_be_the_teacher(made: Path, tmp_path: Path) -> None:
    out = search(options(made, tmp_path / "out", teacher="min", evaluations=8))
    assert {(point.subnet, point.distance) for point in read_front(out)} == {(SPACE.minimum, 0.0)}
    with pytest.raises(HwsearchError, match=r"names no ONNX file.*max, rank or committee"):
        search(options(made, tmp_path / "other", teacher="mix"))
    with pytest.raises(HwsearchError, match="width1=13 is off the grid"):
        search(options(made, tmp_path / "other", teacher="width1=13"))


def test_studies_compare_the_teacher_with_the_largest_network(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = partial(teacher_by_rank, drawn=3)
    monkeypatch.setattr("hwsearch.search.teachers.teacher_by_rank", few)
    write_checkpoint(tmp_path / "run")
    table = write_table(tmp_path / "tables", "onnxruntime")
    words = (
        f"--checkpoint run --max-images 16 --limit 60 --folds 2 --judge knn --draws 100 "
        f"--teacher rank --foreign sklearn:digits --table {table} --images sklearn:digits"
    )
    study = "--data sklearn:digits --bins 1 --per-bin 4 --distances auto parameters"
    assert main(f"correlate {words} {study} --out study".split()) == 0
    with (tmp_path / "study" / CSV).open() as file:
        rows = [row for row in csv.DictReader(file) if row["where"] == MEAN]
    names = [row["distance"] for row in rows if row["measure"] == "accuracy"]
    assert names[:3] == ["relation to rank", "projection", "parameters"]
    assert names[3].startswith("foreign")
    words = words.replace("--table", "--tables").partition("--foreign")[0]
    words = words.replace("--teacher rank", "--teacher rank max+min")
    choices = f"--tables {table} --networks 4 --selectors auto --tasks digits=sklearn:digits"
    assert main(f"choose {words} {choices} --out choices".split()) == 0
    with (tmp_path / "choices" / "choices.csv").open() as file:
        selectors = {row["selector"] for row in csv.DictReader(file)}
    assert {"relation to rank", "regression to max+min"} <= selectors


@pytest.mark.parametrize(
    ("verb", "journal"),
    [
        ("correlate --bins 1 --per-bin 4 --distances relation parameters --table", "study.jsonl"),
        (
            "choose --tasks digits=sklearn:digits --networks 4 --selectors dense relation --tables",
            "tasks/digits/scores.jsonl",
        ),
    ],
)
def test_a_teacher_whose_file_has_changed_is_asked_again(
    tmp_path, monkeypatch, verb, journal
) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "run")
    words = f"{verb} {write_table(tmp_path / 'tables', 'onnxruntime')} --checkpoint run --out out "
    words += "--max-images 16 --limit 60 --folds 2 --judge knn --draws 100 --teacher other.py"
    words += " --images sklearn:digits --data sklearn:digits" * verb.startswith("correlate")
    for seed in (0, 10):
        Path("other.py").write_text(TEACHER.format(seed=seed))
        assert main(words.split()) == 0
    rows = [json.loads(line)["row"] for line in Path("out", journal).read_text().splitlines()]
    values: dict[str, list[float]] = {}
    for row in rows:
        if "distance" in row:
            values.setdefault(row["distance"], []).append(row["value"])
    to_file = values.pop("relation to other.py")
    assert len(to_file) == 8 and not set(to_file[:4]) & set(to_file[4:])
    assert [len(told) for told in values.values()] == [4, 4]
