"""Judges of dense tasks: figures as COCO counts them, heads that learn, readers that refuse."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from searches import write_checkpoint, write_table
from tiny_space import TINY

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.cli import main
from hwsearch.distance import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.coco import Boxes, load_boxes
from hwsearch.evaluate.dense.detection import Detection
from hwsearch.evaluate.dense.judge import DenseJudge
from hwsearch.evaluate.dense.masks import IGNORED, load_masks
from hwsearch.evaluate.dense.precision import BoxVerdict, Found, coco_evaluation, match
from hwsearch.evaluate.dense.segmentation import MaskVerdict, Segmentation
from hwsearch.evaluate.dense.task import DenseTask
from hwsearch.evaluate.remembered import unpack
from hwsearch.evaluate.training import Recipe
from hwsearch.evaluate.verdict import bootstrap_weights
from hwsearch.selfsup.settings import MethodSettings

DATA = os.environ.get("HWSEARCH_TEST_DATA", "")
real = pytest.mark.skipif(not DATA, reason="HWSEARCH_TEST_DATA names no folder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark images of 40×32 pixels with one bright, or one green, square of 10 to 14 pixels."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(0)
    images, annotations, lines = [], [], []
    for number in range(48):
        side, label = int(rng.integers(10, 15)), number % 2
        left, top = int(rng.integers(4, 36 - side)), int(rng.integers(0, 32 - side))
        pixels = rng.integers(0, 60, (32, 40, 3), dtype=np.uint8)
        mask = np.zeros((32, 40), dtype=np.uint8)
        pixels[top : top + side, left : left + side] = [(250, 250, 250), (20, 250, 20)][label]
        mask[top : top + side, left : left + side] = 1 + label
        Image.fromarray(pixels).save(folder / f"{number}.png")
        Image.fromarray(mask).save(folder / f"{number}-label.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 32})
        box = {"image_id": number, "category_id": 3 + label, "bbox": [left, top, side, side]}
        annotations.append(box | {"id": number, "area": side**2, "iscrowd": 0})
        lines.append(f"{number}.png {number}-label.png")
    categories = [{"id": 4, "name": "green"}, {"id": 3, "name": "bright"}]
    told = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "all.json").write_text(json.dumps(told))
    (folder / "all.txt").write_text("\n".join(lines))
    (folder / "classes.json").write_text(json.dumps(["ground", "bright", "green", "Void"]))
    return folder


def judge(task: DenseTask, kind: str, epochs: int) -> DenseJudge:
    settings = MethodSettings(projection_hidden=8, queue=8)
    method = build_method(TINY, "moco-v2", settings, seed=0, residual_scale=1.0)
    header = Header(TINY.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    students = SupernetStudents(Run(Path("run"), TINY, method, header, "weights"), task.target)
    return DenseJudge(kind, task, students, 32, 2, Recipe(epochs=epochs, batch=8, lr=1e-2))


def test_boxes_and_masks_are_brought_to_the_centre_square(folder):
    boxes, masks = load_boxes(str(folder), 32), load_masks(str(folder), 32)
    assert boxes.classes == ("bright", "green") and len(boxes) == len(masks) == 48
    assert (boxes.target.indices == masks.target.indices).all()
    for one, mask in zip(boxes.boxes, masks.masks, strict=True):
        rows, columns = np.nonzero(mask)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert one.corners[0] * 32 == pytest.approx(found)
        assert mask.max() == 1 + one.classes[0]


def test_average_precision_is_that_of_coco():
    rng = np.random.default_rng(0)
    boxes, found = [], []
    for _ in range(20):
        corners = np.sort(rng.random((6, 2, 2)), axis=1).reshape(6, 4)[:, [0, 1, 2, 3]]
        labels, crowd = rng.integers(0, 3, 6), rng.random(6) < 0.2
        boxes.append(Boxes(corners.astype(np.float32), labels, crowd))
        moved = np.repeat(corners, 3, axis=0) + rng.normal(scale=0.03, size=(18, 4))
        told = np.where(rng.random(18) < 0.8, np.repeat(labels, 3), rng.integers(0, 3, 18))
        order = np.argsort(-(scores := rng.random(18).round(1)), kind="stable")
        found.append(Found(moved[order], told[order], scores[order]))
    verdict = match(boxes, found, 3)
    evaluation = coco_evaluation(boxes, found, 3)
    evaluation.accumulate()
    expected = evaluation.eval["precision"][..., 2].mean()  # at most 100 boxes an image
    assert 0.1 < expected < 0.9
    assert verdict.score("ap") == pytest.approx(expected, abs=1e-9)
    found = [one._replace(scores=np.sort(rng.random(18))[::-1]) for one in found]
    verdict = match(boxes, found, 3)
    twice = [*range(20), 3, 3, 7]  # drawing an image again is having it again
    again = match([boxes[at] for at in twice], [found[at] for at in twice], 3)
    weights = np.bincount(twice)[None]
    assert verdict.scores("ap", weights)[0] == pytest.approx(again.score("ap"), abs=5e-3)
    packed = unpack(verdict.packed() | {"kind": "boxes"})
    drawn = bootstrap_weights(20, 5, seed=0)
    assert (packed.scores("ap", drawn) == verdict.scores("ap", drawn)).all()


def test_intersection_over_union_of_counted_pixels():
    both, either = np.array([[2, 0], [1, 3]]), np.array([[4, 0], [2, 3]])
    verdict = MaskVerdict(both, either)
    weights = np.array([[1, 1], [1, 0], [0, 2]])
    assert verdict.scores("miou", weights) == pytest.approx([(3 / 6 + 1) / 2, 0.5, 0.75])
    again = unpack(verdict.packed() | {"kind": "masks"})
    assert (again.scores("miou", weights) == verdict.scores("miou", weights)).all()


def test_a_perfect_map_is_told_as_the_boxes_that_are_there(folder):
    task = Detection(load_boxes(str(folder), 32))
    side, classes = 32, 2
    told = np.full((48, classes + 4, side, side), -9, dtype=np.float32)
    for place, boxes in enumerate(task.images.boxes):
        left, top, right, bottom = boxes.corners[0]
        x, y = (left + right) / 2 * side, (top + bottom) / 2 * side
        column, row = int(x), int(y)
        told[place, boxes.classes[0], row, column] = 9
        told[place, classes:, row, column] = (right - left, bottom - top, x - column, y - row)
    assert task.verdict(told).score("ap") == pytest.approx(1)
    perfect = task.loss(torch.from_numpy(told), torch.arange(48))
    shifted = task.loss(torch.from_numpy(np.roll(told, 3, axis=2)), torch.arange(48))
    assert perfect < 0.1 * shifted


@pytest.mark.parametrize("kind", ["head", "finetune"])
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_judges_learn_and_repeat_to_the_bit(folder, task, kind):
    tasks = {
        "detection": lambda: Detection(load_boxes(str(folder), 32)),
        "segmentation": lambda: Segmentation(load_masks(str(folder), 32)),
    }
    ask = judge(tasks[task](), kind, epochs=20)
    verdict = ask(TINY.maximum, 0)
    (measure,) = verdict.measures
    least = {"detection": 0.15, "segmentation": 0.6}[task]
    assert verdict.score(measure) > least
    assert ask(TINY.maximum, 0).packed() == verdict.packed()


def test_without_boxes_there_is_no_average_precision():
    nothing = Found(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    boxes = Boxes(np.empty((0, 4), "f4"), np.empty(0, int), np.empty(0, bool))
    assert np.isnan(match([boxes], [nothing], 2).scores("ap", np.ones((3, 1)))).tolist() == [1] * 3


IMAGES = {"images": [{"id": n, "file_name": "0.png", "width": 40, "height": 32} for n in range(8)]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{}", "no COCO file"),
        ("a.json", '{"images": [1], "annotations": [], "categories": []}', "no COCO file"),
        (
            "a.json",
            json.dumps({"annotations": [], "categories": [{"id": 1, "name": "one"}]} | IMAGES),
            "none of 8 images has a box that counts",
        ),
        ("a.txt", "one two three", "no list of images and labels"),
        ("a.txt", "0.png 0.png", "no class numbers"),
        ("a.txt", "0.png nowhere.png", "cannot read the label image"),
    ],
)
def test_wrong_annotations_are_refused_in_one_line(folder, tmp_path, name, text, message):
    for file in ("0.png", "1.png", "classes.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    lines = "\n".join([text] * 9) if name.endswith("txt") else text
    (tmp_path / name).write_text(lines)
    load = load_boxes if name.endswith("json") else load_masks
    with pytest.raises(HwsearchError, match=message):
        load(str(tmp_path / name), 32)
    with pytest.raises(HwsearchError, match="no "):
        load(str(tmp_path / "nowhere"), 32)


def test_networks_are_studied_by_a_dense_task(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "run")
    table = write_table(tmp_path / "tables", "onnxruntime")
    (tmp_path / "photos").mkdir()
    for number in range(12):
        (tmp_path / "photos" / f"{number}.png").write_bytes((folder / f"{number}.png").read_bytes())
    words = f"correlate --checkpoint run --table {table} --images photos --data {folder} --folds 2"
    words += " --bins 1 --per-bin 4 --limit 16 --epochs 1 --draws 100 --distances auto projection"
    for task, measure in (("segmentation", "miou"), ("detection", "ap")):
        assert main([*words.split(), "--task", task, "--out", task]) == 0
        assert f"Spearman in a bin with {measure}" in capsys.readouterr().out
        rows = (tmp_path / task / "correlation.csv").read_text()
        assert f"{measure},mean of bins,dense" in rows and "projection" in rows
    assert main([*words.split(), "--task", "detection", "--judge", "linear", "--out", "new"]) == 2
    assert "--judge linear is none of this --task" in capsys.readouterr().err


@real
def test_the_shared_sets_can_be_read():
    boxes = load_boxes(f"{DATA}/bccd", 96)
    assert boxes.classes == ("WBC", "RBC", "Platelets") and len(boxes) == 364
    assert 12 < np.mean([len(one.classes) for one in boxes.boxes]) < 13.4
    masks = load_masks(f"{DATA}/camvid", 90, limit=40)
    assert masks.masks.shape == (40, 90, 90) and len(masks.classes) == 12
    assert 11 not in masks.masks and IGNORED in masks.masks
    verdict = judge(Detection(load_boxes(f"{DATA}/bccd", 64, limit=24)), "head", 1)(TINY.minimum, 0)
    assert isinstance(verdict, BoxVerdict) and len(verdict) == 24
