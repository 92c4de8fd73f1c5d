"""COCO's average precision, kept in parts from which images can be drawn again.

Shapes: N images, C classes, D boxes that were told, T thresholds of overlap, R sets of weights.
"""

import contextlib
import io
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.coco import Boxes
from hwsearch.evaluate.verdict import Verdict

THRESHOLDS = 10
"""Overlaps of .5, .55, … .95 that a match needs."""

RECALLS = 101
"""Recalls 0, .01, … 1 that the precision is averaged over."""

SCALE = 1000.0
"""Side of the square in the units in which boxes are compared; ratios are all that matters."""

_TOLD = np.dtype(
    [("image", "<i4"), ("label", "<i2"), ("score", "<f4"), ("hit", "<u2"), ("excused", "<u2")]
)


class Found(NamedTuple):
    """Boxes that were told of one image, the best first.

    Attributes:
        corners: Left, top, right and bottom as shares of the square, float[n, 4].
        labels: Their classes, int[n].
        scores: How sure of each, float[n].
    """

    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class BoxVerdict(Verdict):
    """How well a network finds boxes.

    Attributes:
        told_D: Each told box: its image, class and score, and bit t of `hit` and `excused` for
            whether at threshold t it matched a box, or a crowd.
        wanted_NC: Boxes that are there, crowds aside, int32[N, C].
    """

    told_D: np.ndarray
    wanted_NC: np.ndarray
    kind = "boxes"
    measures = ("ap",)

    def __len__(self) -> int:
        """Returns how many images were judged."""
        return len(self.wanted_NC)

    def scores(self, measure: str, weights_RN: np.ndarray) -> np.ndarray:
        """Returns the average precision over thresholds and classes, 0 to 1; NaN without boxes."""
        assert measure in self.measures
        weights_RN = weights_RN.astype(np.float64)
        by_class = [
            self._of_class(label, weights_RN)
            for label in range(self.wanted_NC.shape[1])
            if self.wanted_NC[:, label].any()
        ]
        if not by_class:
            return np.full(len(weights_RN), np.nan)
        return np.nanmean(by_class, axis=0)

    def _of_class(self, label: int, weights_RN: np.ndarray) -> np.ndarray:
        told = self.told_D[self.told_D["label"] == label]
        told = told[np.argsort(-told["score"], kind="stable")]
        wanted_R = weights_RN @ self.wanted_NC[:, label]
        weights_RD = weights_RN[:, told["image"]]
        every = [
            _average(
                weights_RD,
                (told["hit"] >> bit & 1).astype(bool),
                (told["excused"] >> bit & 1).astype(bool),
                wanted_R,
            )
            for bit in range(THRESHOLDS)
        ]
        return np.where(wanted_R > 0, np.mean(every, axis=0), np.nan)

    def packed(self) -> dict[str, Any]:
        """Returns it as JSON."""
        told, wanted = self.told_D.tobytes(), self.wanted_NC.astype("<i4").tobytes()
        told_text, wanted_text = (b64encode(zlib.compress(x)).decode() for x in (told, wanted))
        return {"images": len(self), "told": told_text, "wanted": wanted_text}

    @classmethod
    def unpacked(cls, told: Mapping[str, Any]) -> "BoxVerdict":
        """Returns what was packed."""
        found, wanted = (zlib.decompress(b64decode(told[name])) for name in ("told", "wanted"))
        counts = np.frombuffer(wanted, "<i4").reshape(told["images"], -1)
        return cls(np.frombuffer(found, _TOLD), counts)


def _average(
    weights_RD: np.ndarray, hit_D: np.ndarray, excused_D: np.ndarray, wanted_R: np.ndarray
) -> np.ndarray:
    """Average precision at one threshold, float[R]; boxes are in falling order of score.

    The precision at a recall is the best one at that recall or beyond, which only boxes that hit
    can reach.
    """
    hits = hit_D & ~excused_D
    told_RH = np.cumsum(weights_RD * ~excused_D, axis=1)[:, hits]
    right_RH = np.cumsum(weights_RD[:, hits], axis=1)
    precision_RH = right_RH / np.maximum(told_RH, np.finfo(float).tiny)
    best_RH = np.maximum.accumulate(precision_RH[:, ::-1], axis=1)[:, ::-1]
    recall_RH = right_RH / np.maximum(wanted_R, np.finfo(float).tiny)[:, None]
    asked = np.linspace(0, 1, RECALLS)
    found = np.zeros(len(weights_RD))
    for row, (recall_H, best_H) in enumerate(zip(recall_RH, best_RH, strict=True)):
        first = np.searchsorted(recall_H, asked, side="left")
        found[row] = best_H[first[first < len(best_H)]].sum() / RECALLS
    return found


def match(boxes: Sequence[Boxes], found: Sequence[Found], classes: int) -> BoxVerdict:
    """Matches told boxes with those that are there, by COCO's own code.

    Args:
        boxes: Boxes of each image.
        found: What was told of each image.
        classes: Number of classes.

    Raises:
        HwsearchError: If pycocotools is not installed.
    """
    evaluation = coco_evaluation(boxes, found, classes)
    wanted = np.zeros((len(boxes), classes), dtype=np.int32)
    rows = []
    for told in evaluation.evalImgs:
        if told is not None:
            label, image = told["category_id"], told["image_id"]
            wanted[image, label] = np.sum(~np.asarray(told["gtIgnore"], dtype=bool))
            rows.append(_rows(told, image, label))
    told_D = np.concatenate(rows) if rows else np.empty(0, _TOLD)
    return BoxVerdict(told_D, wanted)


def _rows(told: Mapping[str, Any], image: int, label: int) -> np.ndarray:
    rows = np.empty(len(told["dtScores"]), _TOLD)
    powers = 2 ** np.arange(THRESHOLDS)[:, None]
    rows["image"], rows["label"], rows["score"] = image, label, told["dtScores"]
    rows["hit"] = ((np.asarray(told["dtMatches"]) > 0) * powers).sum(0)
    rows["excused"] = ((np.asarray(told["dtIgnore"]) > 0) * powers).sum(0)
    return rows


def coco_evaluation(boxes: Sequence[Boxes], found: Sequence[Found], classes: int) -> Any:  # noqa: ANN401
    """Returns an evaluated COCOeval of pycocotools; see `match`."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as cause:
        raise HwsearchError(
            "detection is judged by pycocotools, which is not installed",
            fix="pip install 'hwsearch[detection]'",
        ) from cause
    there = [
        _entry(corners, label, at, crowd=bool(crowd))
        for at, image in enumerate(boxes)
        for corners, label, crowd in zip(image.corners, image.classes, image.crowd, strict=True)
    ]
    told = [
        _entry(corners, label, at, crowd=False) | {"score": float(score)}
        for at, image in enumerate(found)
        for corners, label, score in zip(*image, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth, guess = COCO(), COCO()
        for index, entries in ((truth, there), (guess, told)):
            content: Any = {
                "images": [{"id": at} for at in range(len(boxes))],
                "categories": [{"id": label} for label in range(classes)],
                "annotations": [entry | {"id": 1 + at} for at, entry in enumerate(entries)],
            }
            index.dataset = content
            index.createIndex()
        evaluation = COCOeval(truth, guess, "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all sizes; each takes as long
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    return evaluation


def _entry(corners: np.ndarray, label: int, image: int, *, crowd: bool) -> dict[str, Any]:
    left, top, right, bottom = (SCALE * float(corner) for corner in corners)
    width, height = right - left, bottom - top
    return {
        "image_id": image,
        "category_id": int(label),
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": int(crowd),
    }
