"""Boxes in COCO's format, brought to the centre square that networks see."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.distance.images import TargetImages, target_of
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.listed import ListedSource, square_of

SEEN = 0.5
"""Share of a box that must be in the square; of less is a crowd, which no figure counts."""

_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_LAYOUT = (
    "Give a COCO file (images, annotations, categories), or a folder of such .json files; "
    "file_name counts from the file's folder"
)


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image.

    Attributes:
        corners: Left, top, right and bottom as shares of the square, float32[n, 4].
        classes: int64[n].
        crowd: Whether a box only excuses what is found there, bool[n].
    """

    corners: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray


@dataclass(frozen=True, eq=False)
class BoxImages:
    """Images with boxes.

    Attributes:
        target: The images.
        boxes: Of each image, in their order.
        classes: Names of the classes.
    """

    target: TargetImages
    boxes: tuple[Boxes, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)


def load_boxes(source: str, side: int, *, limit: int | None = None) -> BoxImages:
    """Reads images with boxes.

    Args:
        source: A COCO file, or a folder of them whose images are taken together.
        side: Height and width in pixels that images are prepared for first.
        limit: Most images.

    Raises:
        HwsearchError: If there is no such file, it is not COCO's format, or no box counts.
    """
    paths, boxes, names = [], [], None
    for file in _files(Path(source).expanduser()):
        found = _read(file)
        if names is not None and found[2] != names:
            raise HwsearchError("the files name other categories", where=file, fix=_LAYOUT)
        paths, boxes, names = paths + found[0], boxes + found[1], found[2]
    target = target_of(ListedSource(source, paths), side, limit=limit)
    assert names is not None
    kept = tuple(boxes[index] for index in target.indices)
    if all(one.crowd.all() for one in kept):
        raise HwsearchError(
            f"none of {len(kept)} images has a box that counts",
            where=source,
            fix="Name images with boxes in their centre square that are no crowds, or use more",
        )
    return BoxImages(target, kept, names)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for file in sorted(path.glob("*.json")) if file.name != "classes.json"]
    if not found:
        raise HwsearchError("no COCO file here", where=path, fix=_LAYOUT)
    return found


def _read(file: Path) -> tuple[list[Path], list[Boxes], tuple[str, ...]]:
    try:
        told = json.loads(file.read_text())
        categories = sorted(told["categories"], key=lambda category: category["id"])
        place = {category["id"]: number for number, category in enumerate(categories)}
        by_image: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in told["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        paths = [file.parent / image["file_name"] for image in told["images"]]
        boxes = [_boxes(image, by_image[image["id"]], place) for image in told["images"]]
        return paths, boxes, tuple(category["name"] for category in categories)
    except _DAMAGED as cause:
        what = f"{type(cause).__name__} {cause}"
        raise HwsearchError(f"no COCO file: {what}", where=file, fix=_LAYOUT) from cause


def _boxes(
    image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], place: Mapping[int, int]
) -> Boxes:
    """Returns the boxes of an image as shares of its centre square."""
    xywh = np.array([one["bbox"] for one in annotations], dtype=np.float64).reshape(-1, 4)
    left, top, side = square_of(image["width"], image["height"])
    whole = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    corners = np.clip((whole - [left, top, left, top]) / side, 0, 1)
    areas = xywh[:, 2:].prod(1) / side**2
    seen = (corners[:, 2:] - corners[:, :2]).prod(1) / np.maximum(areas, 1e-12)
    crowd = np.array([bool(one.get("iscrowd", 0)) for one in annotations], dtype=bool)
    kept = seen > 0
    classes = np.array([place[one["category_id"]] for one in annotations], dtype=np.int64)
    return Boxes(corners[kept].astype(np.float32), classes[kept], (crowd | (seen < SEEN))[kept])
