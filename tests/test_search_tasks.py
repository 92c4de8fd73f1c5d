"""What networks of a search are judged by: tasks, other teachers, controls, the first images."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import assemble_engine
from PIL import Image
from searches import SPACE, made, options, write_table

from hwsearch.cli import main
from hwsearch.deploy import source
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.load import load
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.distance import DenseDistance
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.journal import read_journal
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.objectives import EarlyStop
from hwsearch.search.run import search

__all__ = ["made"]


@pytest.mark.parametrize(
    ("task", "named"), [("detection", "dense 2 3 4"), ("segmentation", "dense 3 4")]
)
def test_dense_tasks_compare_feature_maps(
    made: Path, tmp_path: Path, task: str, named: str
) -> None:
    out = search(options(made, tmp_path / "out", task=task, evaluations=8))
    assert read_front(out)[-1].subnet == SPACE.maximum
    assert read_front(out)[-1].distance == 0.0
    assert Evaluations.read(out).yardstick.distance == named
    assert isinstance(open_search(out).distance(), DenseDistance)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_an_engine_for_a_dense_task_gives_the_maps_of_all_stages(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    folder, point = assemble_engine(
        made, tmp_path, monkeypatch, runtime, task="segmentation", max_images=70
    )
    manifest = read_manifest(folder)
    assert {output.name: output.shape for output in manifest.outputs} == {
        "stage1": (32, 16, 16),
        "stage2": (64, 8, 8),
        "stage3": (128, 4, 4),
        "stage4": (256, 4, 4),
    }
    assert manifest.parity.images == 70
    assert set(manifest.parity.outputs) == {"stage1", "stage2", "stage3", "stage4"}
    assert manifest.parity.relative_error < 1e-4
    assert manifest.distance.float_net == pytest.approx(point.distance, abs=1e-6)
    assert manifest.distance.engine == pytest.approx(point.distance, abs=1e-5)
    photos = [np.full((40, 30, 3), value, np.uint8) for value in (3, 200)]
    Image.fromarray(photos[0]).save(tmp_path / "photo.png")
    with load(folder) as engine:
        maps = engine.outputs(photos)
        assert maps["stage4"].shape == (2, 256, 4, 4)
        one = engine.outputs(tmp_path / "photo.png")
        assert all(np.array_equal(one[name][0], maps[name][0]) for name in maps)
        with pytest.raises(HwsearchError, match=r"stage1, stage2, .*engine\.outputs"):
            engine(photos)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_with_labels_tells_classes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    images = load_labelled("sklearn:digits", 32, limit=400)
    head = ClassifierHead(images)
    folder, point = assemble_engine(made, tmp_path, monkeypatch, runtime, head=head)
    manifest = read_manifest(folder)
    assert [output.name for output in manifest.outputs] == ["embedding", "scores"]
    assert manifest.classifier is not None
    assert manifest.classifier.classes == tuple("0123456789")
    assert 0.5 < manifest.classifier.low < manifest.classifier.accuracy < manifest.classifier.high
    assert manifest.distance.engine == pytest.approx(point.distance, abs=1e-5)
    photos = images.target.prepared(32)
    with load(folder) as engine:
        told = engine.classify(photos)
        assert engine(photos).shape == (400, manifest.outputs[0].shape[0])
    assert all(sum(shares.values()) == pytest.approx(1) for shares in told)
    right = [
        next(iter(shares)) == str(label) for shares, label in zip(told, images.labels, strict=True)
    ]
    assert np.mean(right) > manifest.classifier.accuracy
    with pytest.raises(HwsearchError, match="does not fit 'dense"):
        assemble_engine(made, tmp_path / "d", monkeypatch, runtime, head=head, task="detection")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_one_network_can_be_delivered_without_a_search(
    made: Path, tmp_path: Path, precision: str
) -> None:
    table = write_table(tmp_path, "openvino", precision=precision)
    given = {"tables": (str(table),), "tables_dir": None, "evaluations": 4}
    found = read_front(search(options(made, tmp_path / "out", **given)))[0]
    asked = DeployOptions(
        out=tmp_path / "engine",
        subnet=",".join(f"{name}={found.subnet[name]}" for name in SPACE.minimum.as_dict()),
        checkpoint=made / "run",
        images="sklearn:digits",
        max_images=8,
        table=str(table),
    )
    with source.open_network(asked) as (inputs, point):
        assert inputs.distance_name == "projection"
    assert (point.subnet, point.distance) == (found.subnet, found.distance)
    for name in ("latency_ms", "low_ms", "high_ms", "macs"):
        assert getattr(point, name) == pytest.approx(getattr(found, name))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--search or --subnet"),
        ({"search": Path("s"), "subnet": "max"}, "--search or --subnet"),
        ({"subnet": "max", "table": "t"}, "--subnet needs --images"),
    ],
)
def test_what_to_deliver_is_said_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(HwsearchError, match=message):
        DeployOptions(out=Path("engine"), **given)


def test_an_engine_cannot_be_judged_by_a_control(made: Path, tmp_path: Path) -> None:
    out = search(options(made, tmp_path / "out", distance="parameters", evaluations=4))
    table = "bottleneck-32-openvino-fp32-b1-t2"
    with pytest.raises(HwsearchError, match=r"judged by 'parameters'.*--distance auto"):
        deploy(DeployOptions(search=out, out=tmp_path / "engine", table=table))


TEACHER = """
from torch import nn

class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 if not i else 4, 4, 3, 2, 1) for i in range(4))

    def forward(self, x):
        return [x := layer(x).relu() for layer in self.layers]

def teacher():
    import torch
    torch.manual_seed(0)
    return Maps()
"""


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_a_python_file_can_be_the_teacher(made: Path, tmp_path: Path, task: str) -> None:
    (tmp_path / "teacher.py").write_text(TEACHER)
    given = {"teacher": str(tmp_path / "teacher.py"), "task": task, "evaluations": 8}
    out = search(options(made, tmp_path / "out", **given))
    assert Evaluations.read(out).distance.min() > 0
    assert open_search(out).options.distance == "auto"


def test_a_control_can_choose(made: Path, tmp_path: Path) -> None:
    words = f"search --checkpoint {made / 'run'} --images sklearn:digits --max-images 8"
    words += f" --tables {made / 'tables' / 'made-up'}/bottleneck-32-openvino-fp32-b1-t2.jsonl"
    words += f" --evaluations 8 --distance parameters --out {tmp_path / 'out'}"
    assert main(words.split()) == 0
    assert read_front(tmp_path / "out")[-1].subnet == SPACE.maximum


@pytest.mark.parametrize(
    ("asked", "kind"),
    [({"distance": "relation"}, "relation"), ({"teacher": "auto"}, "regression")],
)
def test_early_stop_needs_a_mean_over_images(
    made: Path, tmp_path: Path, asked: dict[str, str], kind: str
) -> None:
    with pytest.raises(HwsearchError, match=f"--early-stop does not work with --distance {kind}"):
        search(options(made, tmp_path, early_stop=True, **asked))
    assert not list(tmp_path.rglob("evaluations.jsonl"))  # other options can take the folder
    assert not (tmp_path / "out" / "teacher").exists()


def test_what_breaks_a_limit_makes_nothing_hopeless() -> None:
    fast, slow = SPACE.minimum, SPACE.maximum
    rows = [{"subnet": fast.as_dict(), "distance": 0.1, "latency_ms": {"a": 1.0, "b": 1.0}}]
    latency_ms = {"a": 2.0, "b": 2.0}

    def limit(a: Sequence[float], b: Sequence[float]) -> float:
        excess = {"a": lambda codes: np.array(a), "b": lambda codes: np.array(b)}
        return EarlyStop(pytest.fail, excess).limit(SPACE, rows, slow, latency_ms)

    assert limit((-1, -1), (-1, -1)) == 0.1
    assert limit((-1, 1), (-1, -1)) == inf  # the faster one is not on the front of a
    assert limit((1, 1), (-1, -1)) == 0.1  # nor is the slower one
    assert limit((1, 1), (1, -1)) == inf


def test_rivals_that_differ_by_table_make_nothing_hopeless() -> None:
    one, two = ({"a": 1.0, "b": 3.0}, {"a": 3.0, "b": 1.0})
    rows = [
        {"subnet": SPACE.minimum.as_dict(), "distance": 0.1, "latency_ms": ms} for ms in (one, two)
    ]
    stop = EarlyStop(pytest.fail, dict.fromkeys("ab", lambda codes: -np.ones(len(codes))))
    assert stop.limit(SPACE, rows, SPACE.maximum, {"a": 2.0, "b": 2.0}) == inf
    assert stop.limit(SPACE, rows, SPACE.maximum, {"a": 3.0, "b": 2.0}) == 0.1


def test_early_stop_finds_the_same_front(made: Path, tmp_path: Path) -> None:
    given = {"max_images": 96, "evaluations": 8, "task": "segmentation"}
    whole = search(options(made, tmp_path / "whole", **given))
    early = search(options(made, tmp_path / "early", early_stop=True, **given))
    assert (early / "front.csv").read_bytes() == (whole / "front.csv").read_bytes()
    _, rows = read_journal(early / "evaluations.jsonl", "search")
    assert {row["images"] for row in rows} == {64, 96}
    assert all(row["whole"] == (row["images"] == 96) for row in rows)
    assert (early / "fleet.csv").read_bytes() == (whole / "fleet.csv").read_bytes()
    inputs, at = open_search(early), Evaluations.read(early).stopped[0]
    delivered = source.evaluated_point(inputs, inputs.tables, at)  # no estimate is delivered
    assert delivered.distance == inputs.distance()(delivered.subnet)
    assert delivered.distance != Evaluations.read(early).distance[at]
    given |= {"warm": (early,), "evaluations": 2, "early_stop": True}
    known = Evaluations.read(early).whole()
    found = Evaluations.read(search(options(made, tmp_path / "warm", **given)))
    assert 0 < len(known.codes) < 8
    taken = np.unique(found.codes[: len(known.codes)], axis=0)
    assert np.array_equal(taken, np.unique(known.codes, axis=0))
    assert len(found.codes) == len(known.codes) + 2
