"""Heads for detection and segmentation inside engines: what they tell is what torch tells."""

import os

import numpy as np
import pytest
import torch
from engines import assemble_engine
from searches import made
from test_dense_judges import folder

import hwsearch
from hwsearch.deploy.boxes import boxes_of
from hwsearch.deploy.dense import DenseHead, ToldBoxes
from hwsearch.deploy.manifest import read_manifest
from hwsearch.deploy.originals import Calls
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.coco import Boxes, BoxImages, load_boxes
from hwsearch.evaluate.dense.detection import Detection
from hwsearch.evaluate.dense.masks import load_masks
from hwsearch.evaluate.dense.segmentation import Segmentation

__all__ = ["folder", "made"]

DATA = os.environ.get("HWSEARCH_TEST_DATA", "")
FREE = Calls(any_batch=True, raw=True)


@pytest.mark.parametrize(
    "how", [("onnxruntime", "fp32", Calls()), ("openvino", "int8", FREE)], ids=["plain", "free"]
)
def test_an_engine_finds_boxes(made, folder, tmp_path, monkeypatch, how):
    runtime, precision, calls = how
    images = load_boxes(str(folder), 32)
    out, _ = assemble_engine(
        made,
        tmp_path,
        monkeypatch,
        runtime,
        head=DenseHead("detection", Detection(images)),
        calls=calls,
        precision=precision,
        task="detection",
        evaluations=2,
    )
    manifest = read_manifest(out)
    assert [one.name for one in manifest.outputs] == [
        *(f"stage{n}" for n in (1, 2, 3, 4)),
        "scores",
        "boxes",
    ]
    assert set(manifest.parity.outputs) == {one.name for one in manifest.outputs}
    assert manifest.dense is not None
    assert (manifest.dense.measure, manifest.dense.images) == ("ap", 48)
    assert manifest.dense.low <= manifest.dense.quality <= manifest.dense.high
    photos = images.target.prepared(32)
    with hwsearch.load(out) as engine:
        found = engine.detect(photos, least_score=0.2)
        with pytest.raises(HwsearchError, match="--task segmentation"):
            engine.segment(photos)
    best = [boxes[0] for boxes in found if boxes]
    assert len(best) > 24 and all(box.label in images.classes for box in best)
    right = 0
    for boxes, there in zip(found, images.boxes, strict=True):
        if boxes:
            middle = (boxes[0].left + boxes[0].right) / 2, (boxes[0].top + boxes[0].bottom) / 2
            left, top, right_edge, bottom = 32 * there.corners[0]
            right += left < middle[0] < right_edge and top < middle[1] < bottom
    assert right > 24
    assert "engine.detect" in (out / "README.md").read_text()
    assert hwsearch.load_backbone(out).eval() is not None


def test_an_engine_tells_pixels(made, folder, tmp_path, monkeypatch):
    images = load_masks(str(folder), 32)
    out, _ = assemble_engine(
        made,
        tmp_path,
        monkeypatch,
        "onnxruntime",
        head=DenseHead("segmentation", Segmentation(images)),
        calls=FREE,
        precision="int8",
        task="segmentation",
        evaluations=2,
    )
    manifest = read_manifest(out)
    assert manifest.outputs[-1].shape == (4, 32, 32)
    assert manifest.dense is not None and manifest.dense.measure == "miou"
    photos = images.target.prepared(32)
    with hwsearch.load(out) as engine:
        told = engine.segment(photos)
        np.testing.assert_array_equal(told[:1], engine.segment(photos[0]))
    counted = images.masks != 255
    assert (told == images.masks)[counted].mean() > 0.8


def test_boxes_are_decoded_as_the_judge_does():
    torch.manual_seed(0)
    maps = 3 * torch.randn(5, 7, 6, 6)
    images = BoxImages(None, tuple[Boxes, ...](), ("a", "b", "c"))  # pyright: ignore[reportArgumentType]

    class Told(torch.nn.Module):
        def forward(self, levels):
            return levels[0]

    scores, corners = ToldBoxes(Told(), 24, 3)(maps)
    for told, one, box in zip(maps, scores.numpy(), corners.numpy(), strict=True):
        expected = Detection(images).found(told)
        found = boxes_of(one, box, images.classes, (30, 20), 0.01)
        assert [images.classes.index(b.label) for b in found] == expected.labels.tolist()
        np.testing.assert_allclose([b.score for b in found], expected.scores, rtol=1e-6)
        given = np.array([(b.left, b.top - 5, b.right, b.bottom - 5) for b in found]) / 20
        np.testing.assert_allclose(given, expected.corners, atol=1e-6)


@pytest.mark.skipif(not DATA, reason="HWSEARCH_TEST_DATA names no folder")
def test_real_boxes_and_masks(made, tmp_path, monkeypatch):
    boxes = Detection(load_boxes(f"{DATA}/bccd/train.json", 32, limit=48))
    masks = Segmentation(load_masks(f"{DATA}/camvid/train.txt", 32, limit=48))
    for task, data in (("detection", boxes), ("segmentation", masks)):
        place = tmp_path / task
        head = DenseHead(task, data)
        known = {"images": f"{DATA}/bccd/images", "task": task, "evaluations": 2, "max_images": 8}
        out, _ = assemble_engine(made, place, monkeypatch, "onnxruntime", head=head, **known)
        manifest = read_manifest(out)
        assert manifest.parity.relative_error < 1e-4
        assert manifest.dense is not None and manifest.dense.quality > 0
