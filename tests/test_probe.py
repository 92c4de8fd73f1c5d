"""hwsearch probe on networks of a checkpoint: resumed exactly, and refused where it must be."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_space import TINY

from hwsearch.checkpoint import Checkpoint, Header, build_method, load_run
from hwsearch.cli import main
from hwsearch.distance import load_target
from hwsearch.errors import HwsearchError
from hwsearch.evaluate import remembered
from hwsearch.evaluate.options import ProbeOptions
from hwsearch.evaluate.subnets import CSV, FILE, KIND, open_students
from hwsearch.journal import read_journal
from hwsearch.search.front import FrontPoint, write_front
from hwsearch.selfsup.settings import MethodSettings

WORDS = (
    "probe --checkpoint run --subnet max min width1=2 --data sklearn:digits --limit 160 --folds 2 "
    "--judge knn linear --seeds 0 1 --out out"
)
TRAINED = f"{WORDS} --judge alone --epochs 1 --batch 80"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", residual_scale=1.0)
    return tmp_path


def write_run(folder: Path, residual_scale: float) -> None:
    settings = MethodSettings(projection_hidden=8, queue=8)
    method = build_method(TINY, "moco-v2", settings, seed=0, residual_scale=residual_scale)
    header = Header(TINY.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    folder.mkdir()
    Checkpoint(header, method.state_dict(), {}).save(folder)


def test_every_verdict_is_journaled_once_and_a_killed_run_goes_on(folder, capsys, monkeypatch):
    assert main(TRAINED.split()) == 0
    said = capsys.readouterr().out
    assert "log-loss" in said and "accuracy" in said and "95 % interval" in said
    journal, table = folder / "out" / FILE, folder / "out" / CSV
    whole, summary = journal.read_bytes(), table.read_bytes()
    _, rows = read_journal(journal, KIND)
    units = {(str(row["subnet"]), row["judge"], row["seed"]) for row in rows}
    assert len(rows) == len(units) == 3 * 3 * 2
    table.unlink()
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:9]) + lines[9][:40])  # as a kill leaves it
    judged: list[object] = []
    pack = remembered.RememberedVerdicts.__call__

    def counted(self, *unit):
        judged.extend([] if self.knows(*unit) else [unit])
        return pack(self, *unit)

    monkeypatch.setattr(remembered.RememberedVerdicts, "__call__", counted)
    assert main(TRAINED.split()) == 0
    assert len(judged) == 10
    assert table.read_bytes() == summary
    _, again = read_journal(journal, KIND)
    assert [row["verdict"] for row in again] == [row["verdict"] for row in rows]
    with table.open() as file:
        values = list(csv.DictReader(file))
    assert len(values) == 3 * 3 * 2
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--subnet width9=2", "no dimension width9"),
        ("--subnet width1=3000", "not possible"),
        ("--data nowhere", "nowhere"),
        ("--limit 5", "needs 8 target images"),
        ("--folds 40", "fewer than 40 folds"),
        ("--folds 1", "--folds 1 is too small"),
        ("--engine engine", "means nothing beside --engine"),
        ("--test labelled", "--test means nothing beside --checkpoint"),
        ("--seed 1", "--seed means nothing beside --checkpoint"),
        ("--max-corrupt-share 0.5", "--max-corrupt-share means nothing beside --checkpoint"),
        ("--seeds -1", "--seeds must be 0 or more, not -1"),
        ("--judge cnn", "unknown value of --judge 'cnn'"),
        ("--lr 0", "--lr 0.0 is not above 0"),
        ("--images nowhere", "nowhere"),
        ("--checkpoint nowhere", "no checkpoint here"),
        ("--search nowhere", "no front found"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(folder, capsys, change, message):
    assert main([*WORDS.split(), *change.split()]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "change", ["--judge knn", "--task detection", "--folds 3", "--flip", "--seeds 0 1"]
)
def test_an_engine_takes_no_options_of_networks(capsys, change):
    words = "probe --engine engine --train sklearn:digits --test sklearn:digits"
    assert main([*words.split(), *change.split()]) == 2
    said = capsys.readouterr().err
    assert f"{change.split()[0]} means nothing beside --engine" in said and said.count("\n") == 1


def test_a_journal_of_other_options_is_refused_with_the_fields(folder, capsys):
    short = WORDS.replace("--judge knn linear", "--judge knn").replace("max min width1=2", "min")
    assert main(short.split()) == 0
    assert main([*short.split(), "--k", "3"]) == 2
    assert "settings.k: 20, now 3" in capsys.readouterr().err
    assert main([*short.split(), "--limit", "170"]) == 2
    assert "data: " in capsys.readouterr().err
    assert main(["probe"]) == 2
    assert "--engine or --checkpoint" in capsys.readouterr().err


def test_the_networks_of_a_front_are_judged(folder):
    values = {"distance": 0.1, "latency_ms": 1, "low_ms": 1, "high_ms": 1}
    sizes = {"macs": 1, "params": 1, "weight_bytes": 1, "activation_bytes": 1}
    points = [
        FrontPoint(table="t", index=index, subnet=subnet, knee=index == 0, **values, **sizes)
        for index, subnet in enumerate([TINY.minimum, TINY.maximum])
    ]
    (folder / "search").mkdir()
    write_front(points, folder / "search")
    words = WORDS.replace("--subnet max min width1=2", "--search search --subnet max").split()
    assert main(words) == 0
    _, rows = read_journal(folder / "out" / FILE, KIND)
    judged = {tuple(row["subnet"].values()) for row in rows}
    assert judged == {tuple(one.as_dict().values()) for one in (TINY.minimum, TINY.maximum)}


def test_weights_and_spaces_that_cannot_be_judged_are_refused(folder, capsys):
    write_run(folder / "diverged", residual_scale=float("nan"))
    for judge in ("knn", "alone"):
        words = WORDS.replace("--checkpoint run", "--checkpoint diverged")
        words = words.replace("knn linear", judge) + " --epochs 1 --lr 1e30"
        assert main(words.split()) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and ("not finite" in said or "no number" in said)
    run = load_run(folder / "run")
    grey = replace(run, space=replace(run.space, input_shape=(1, 8, 8)))
    options = ProbeOptions(checkpoint=folder / "run", subnet=("min",), data="x", out=folder)
    with pytest.raises(HwsearchError, match="take 1 channels, and images have 3"):
        open_students(grey, load_target("sklearn:digits", 8, limit=8), options)
