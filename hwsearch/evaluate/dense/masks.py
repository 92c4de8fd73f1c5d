"""Label images, brought to the centre square that networks see."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.distance.images import TargetImages, target_of
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.listed import ListedSource, square_of

IGNORED = 255
"""Pixel that no figure counts."""

_UNNAMED = frozenset({"unlabelled", "unlabeled", "void", "ignore"})

_LAYOUT = (
    "Give a .txt file of lines 'image label', paths from its folder, or a folder of such files; "
    "beside them classes.json, a list of names; label images hold a class number a pixel"
)


@dataclass(frozen=True, eq=False)
class MaskImages:
    """Images with the class of each pixel.

    Attributes:
        target: The images.
        masks: Class numbers, `IGNORED` where there is none, uint8[N, S, S].
        classes: Names of the classes.
    """

    target: TargetImages
    masks: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.masks)


def load_masks(source: str, side: int, *, limit: int | None = None) -> MaskImages:
    """Reads images with label images.

    Args:
        source: A list of pairs, or a folder of such lists whose images are taken together.
        side: Height and width in pixels that images and labels are prepared for.
        limit: Most images.

    Raises:
        HwsearchError: If the lists, the names or the label images cannot be read.
    """
    pairs = [pair for file in _lists(Path(source).expanduser()) for pair in _pairs(file)]
    names = _names(Path(source).expanduser())
    target = target_of(ListedSource(source, [image for image, _ in pairs]), side, limit=limit)
    unnamed = [number for number, name in enumerate(names) if name.lower() in _UNNAMED]
    masks = np.stack(
        [_mask(pairs[index][1], side, len(names), unnamed) for index in target.indices]
    )
    return MaskImages(target, masks, names)


def _lists(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.glob("*.txt"))
    if not found:
        raise HwsearchError("no list of images and labels here", where=path, fix=_LAYOUT)
    return found


def _pairs(file: Path) -> list[tuple[Path, Path]]:
    try:
        lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
        return [(file.parent / image, file.parent / label) for image, label in lines]
    except (OSError, ValueError) as cause:
        raise HwsearchError("no list of images and labels", where=file, fix=_LAYOUT) from cause


def _names(path: Path) -> tuple[str, ...]:
    file = (path if path.is_dir() else path.parent) / "classes.json"
    try:
        names = tuple(map(str, json.loads(file.read_text())))
    except (OSError, ValueError, TypeError, RecursionError) as cause:
        raise HwsearchError("no list of class names", where=file, fix=_LAYOUT) from cause
    if not 2 <= len(names) <= IGNORED:
        raise HwsearchError(f"{len(names)} classes cannot be judged", where=file, fix=_LAYOUT)
    return names


def _mask(file: Path, side: int, classes: int, unnamed: list[int]) -> np.ndarray:
    """Returns the classes of an image's square, uint8[side, side]."""
    try:
        with Image.open(file) as image:
            if image.mode not in ("P", "L"):
                raise ValueError(f"pixels of mode {image.mode} are no class numbers")
            left, top, short = square_of(*image.size)
            box = (left, top, left + short, top + short)
            found = np.array(image.resize((side, side), Image.Resampling.NEAREST, box))
    except (OSError, ValueError, SyntaxError) as cause:
        what = f"cannot read the label image: {cause}"
        raise HwsearchError(what, where=file, fix=_LAYOUT) from cause
    known = np.setdiff1d(found, [IGNORED])
    if len(known) and known.max() >= classes:
        raise HwsearchError(
            f"pixel {known.max()} is no class: there are {classes}", where=file, fix=_LAYOUT
        )
    found[np.isin(found, unnamed)] = IGNORED
    return found
