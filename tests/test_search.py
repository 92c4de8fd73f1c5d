"""Searches on a real checkpoint and real images, with tables of an invented device."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from searches import BUDGET, RUNTIMES, SPACE, made, options, write_checkpoint, write_table

from hwsearch.distance import TeacherDistance
from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.run import search
from hwsearch.space import Subnet

__all__ = ["made"]


@pytest.fixture(scope="module")
def found(made: Path) -> Path:
    return search(options(made, made / "found"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Subnet]:
    """Subnets whose distance was really computed."""
    seen: list[Subnet] = []
    real: Callable[[TeacherDistance, Subnet], float] = TeacherDistance.__call__

    def counted(self: TeacherDistance, subnet: Subnet) -> float:
        seen.append(subnet)
        return real(self, subnet)

    monkeypatch.setattr(TeacherDistance, "__call__", counted)
    return seen


def test_front_csv_holds_the_front_of_every_table(found: Path) -> None:
    evaluations, points = Evaluations.read(found), read_front(found)
    rows = list(csv.DictReader((found / "front.csv").read_text().splitlines()))
    assert len(evaluations.codes) == len(np.unique(evaluations.codes, axis=0)) == BUDGET
    assert {row["table"] for row in rows} == {target.table for target in evaluations.targets}
    assert rows[0]["depth3"] == str(points[0].subnet["depth3"])
    for target in evaluations.targets:
        front = [point for point in points if point.table == target.table]
        every = zip(evaluations.latencies(target.table), evaluations.distance, strict=True)
        for ms, distance in every:
            assert any(point.latency_ms <= ms and point.distance <= distance for point in front)
        assert [point.index for point in front] == list(range(len(front)))
        assert np.all(np.diff([point.distance for point in front]) < 0)
        assert sum(point.knee for point in front) == 1
        assert all(point.low_ms <= point.latency_ms <= point.high_ms for point in front)


def test_distance_of_the_maximum_is_zero_and_ends_the_front(found: Path) -> None:
    last = read_front(found)[-1]
    assert last.distance == 0.0
    assert last.subnet == SPACE.maximum
    code = SPACE.encode(SPACE.maximum)[None]
    assert last.macs == SPACE.macs(code)[0]
    assert last.weight_bytes == 4 * SPACE.weight_elements(code)[0]
    assert last.activation_bytes == 4 * SPACE.peak_elements(code)[0]


def test_finished_search_is_not_repeated(made: Path, found: Path, calls: list[Subnet]) -> None:
    before = (found / "evaluations.jsonl").read_bytes(), (found / "front.csv").read_bytes()
    search(options(made, found))
    assert calls == []
    assert before == (
        (found / "evaluations.jsonl").read_bytes(),
        (found / "front.csv").read_bytes(),
    )


def test_stopped_search_ends_like_an_unbroken_one(
    made: Path, found: Path, tmp_path: Path, calls: list[Subnet], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = TeacherDistance.__call__

    def stopping(self: TeacherDistance, subnet: Subnet) -> float:
        if len(calls) == 11:
            raise KeyboardInterrupt
        return counted(self, subnet)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TeacherDistance, "__call__", stopping)
        search(options(made, tmp_path))
    search(options(made, tmp_path))
    assert len(calls) == len(set(calls)) == BUDGET
    for name in ("evaluations.jsonl", "front.csv"):
        assert (tmp_path / name).read_bytes() == (found / name).read_bytes()


def test_larger_budget_goes_on(made: Path, found: Path, tmp_path: Path) -> None:
    search(options(made, tmp_path, evaluations=10))
    search(options(made, tmp_path))
    assert (tmp_path / "evaluations.jsonl").read_bytes() == (
        found / "evaluations.jsonl"
    ).read_bytes()


def test_other_inputs_are_refused_by_name(made: Path, found: Path, tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match=r"seed: 0, now 5.*--out"):
        search(options(made, found, seed=5))
    other = write_checkpoint(tmp_path / "run", seed=1)
    with pytest.raises(HwsearchError, match="checkpoint: "):
        search(options(made, found, checkpoint=other))
    write_table(tmp_path / "tables", "onnxruntime", seed=1)
    with pytest.raises(HwsearchError, match=r"tables.*sha256"):
        search(
            options(
                made, found, tables_dir=tmp_path / "tables", tables=options(made, found).tables[:1]
            )
        )


def test_limited_search_finds_one_network_for_all(made: Path, tmp_path: Path) -> None:
    limits = ("weights_mb<=1", "onnxruntime-fp32-b1-t2:latency_ms<=0.5")
    limits = (limits[0], f"{SPACE.name}-{limits[1]}")
    ships, tables = ("classifier:10",), tmp_path / "tables"
    for runtime in RUNTIMES:
        write_table(tables, runtime, ships=ships)
    given = {"limit": limits, "ships": ships, "evaluations": 12, "tables_dir": tables}
    out = search(options(made, tmp_path / "shipped", **given))
    front = read_front(out)
    first = [point for point in front if "onnxruntime" in point.table]
    assert max(point.weight_bytes for point in front) <= 1e6
    assert max(point.latency_ms for point in first) <= 0.5
    head = SPACE.params(SPACE.encode(front[0].subnet)[None])[0] + 11
    assert front[0].params > head
    picked = [pick_network(out, label, "fleet") for label in {point.table for point in front}]
    assert len({point.subnet for point in picked}) == 1
    with pytest.raises(HwsearchError, match="no network for a fleet"):
        pick_network(made, front[0].table, "fleet")
    with pytest.raises(HwsearchError, match=r"no network keeps --limit .*the nearest is"):
        search(options(made, tmp_path / "none", limit=("weights_mb<=0.001",)))
    assert not (tmp_path / "none").exists()


def test_warm_start_takes_over_what_was_measured_alike(
    made: Path, found: Path, tmp_path: Path, calls: list[Subnet]
) -> None:
    given = {"limit": ("macs<=2e7",), "warm": (found,), "evaluations": 3}
    out = search(options(made, tmp_path / "out", **given))
    assert 0 < len(calls) <= 3
    before, now = Evaluations.read(found), Evaluations.read(out)
    assert len(now.codes) == len(before.codes) + len(calls)
    assert set(calls).isdisjoint(map(SPACE.decode, before.codes))
    assert max(point.macs for point in read_front(out)) <= 2e7
    assert open_search(out).options.warm == ()


def test_fronts_against_another_cost_are_no_picture_of_latency(
    made: Path, found: Path, tmp_path: Path
) -> None:
    given = {"against": ("weights_mb",), "warm": (found,), "evaluations": 2}
    out = search(options(made, tmp_path, **given))
    front = read_front(out)
    weights = [point.weight_bytes for point in front if point.table == front[0].table]
    assert weights == sorted(set(weights))
    with pytest.raises(HwsearchError, match=r"drawn against weights_mb.*--against latency_ms"):
        report(ReportOptions(directory=out))


def test_warm_start_from_another_checkpoint_mixes_no_distances(
    made: Path, found: Path, tmp_path: Path, calls: list[Subnet]
) -> None:
    other = write_checkpoint(tmp_path / "run", seed=1)
    given = {"checkpoint": other, "warm": (found,), "evaluations": 12}
    out = search(options(made, tmp_path / "out", **given))
    assert len(calls) == len(Evaluations.read(out).codes) == 12
    with pytest.raises(HwsearchError, match="--warm names the folder of --out"):
        options(made, found, warm=(found,))
    with pytest.raises(HwsearchError, match="no search found"):
        search(options(made, tmp_path / "none", warm=(made,)))


def test_search_is_opened_again_with_what_it_read(made: Path, found: Path) -> None:
    opened = open_search(found)
    point = read_front(found)[0]
    assert opened.distance()(point.subnet) == point.distance
    assert opened.table("made-up/bottleneck-32-openvino-fp32-b1-t2").runtime == "openvino"
    with pytest.raises(HwsearchError, match="several tables"):
        opened.table()
    moved = open_search(found, tables_dir=made / "tables")
    assert moved.tables == opened.tables
    with pytest.raises(HwsearchError, match="no search found"):
        open_search(made)


def test_changed_checkpoint_is_noticed_when_opened_again(made: Path, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "run")
    out = search(options(made, tmp_path / "out", checkpoint=run, evaluations=10))
    (run / "checkpoint.safetensors").unlink()
    run.rmdir()
    write_checkpoint(run, seed=1)
    with pytest.raises(HwsearchError, match=r"changed since \(checkpoint: "):
        open_search(out)


SEARCHER = """
import sys, time
from pathlib import Path
from hwsearch.journal import Journal
from hwsearch.search.objectives import RememberedDistance, one_by_one
from hwsearch.search.pareto_search import pareto_search
from hwsearch.spaces import get_space

space = get_space("bottleneck-32")
top = sum(space.encode(space.maximum))

def distance(subnet):
    time.sleep(0.01)
    return 1 - float(sum(space.encode(subnet)) / top) ** 0.7

def latency(codes):
    return space.macs(codes) / 1e7

score = one_by_one(distance)
with (
    Journal.open(Path(sys.argv[1]), "search", {"space": space.name}) as journal,
    RememberedDistance(space, journal, score, {"t": latency}, lambda note: None) as known,
):
    pareto_search(space, known, [latency], evaluations=60)
"""


def test_killed_search_repeats_nothing(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", SEARCHER, str(tmp_path / name)])

    unbroken = start("unbroken")
    for rows in (9, 30):
        child = start("killed")
        while not _lines(tmp_path / "killed") > rows:
            assert child.poll() is None
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert start("killed").wait() == unbroken.wait() == 0
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "unbroken").read_bytes()
    _, rows = read_journal(tmp_path / "killed", "search")
    assert len({json.dumps(row["subnet"]) for row in rows}) == len(rows) == 60


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_fixed_values_are_those_of_every_network_and_of_the_teacher(made, tmp_path):
    given = options(made, tmp_path / "out", fixed="depth3=2,stem=16", teacher="")
    found = search(given)
    evaluations = Evaluations.read(found)
    columns = [[dim.name for dim in SPACE.dims].index(name) for name in ("depth3", "stem")]
    kept = SPACE.encode(SPACE.subnet(depth3=2, stem=16))[columns]
    assert (evaluations.codes[:, columns] == kept).all()
    largest = SPACE.encode(SPACE.subnet(depth3=2, stem=16))
    at = (evaluations.codes == largest).all(1)
    assert evaluations.distance[at] == pytest.approx([0], abs=1e-6)
    assert open_search(found).space.fixed == (("depth3", 2), ("stem", 16))
    with pytest.raises(HwsearchError, match="fixed"):
        search(options(made, tmp_path / "out", fixed="depth3=1"))
    for fixed, told in (
        ("dpeth=1", "no dimension dpeth"),
        ("width1=13", "width1=13 is off the grid"),
        ("max", "cannot read '--fixed max'"),
        ('{"depth3": 2}', "cannot read '--fixed"),
    ):
        with pytest.raises(HwsearchError, match=told):
            search(options(made, tmp_path / "other", fixed=fixed))
