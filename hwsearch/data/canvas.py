"""Scikit-learn's real digits at random places and scales, as a camera would see them."""

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.data.draws import permutation, uniform
from hwsearch.data.sources.base import Source
from hwsearch.data.sources.digits import DigitsSource
from hwsearch.errors import HwsearchError

_VERSION = 1
"""1: bilinear enlargement, black ground, contrast and place uniform."""

_MARKER = "canvas.json"


@dataclass(frozen=True)
class CanvasOptions:
    """How digits become images, and how many of them each split gets.

    Attributes:
        side: Height and width of the canvas in pixels.
        digit_side: Smallest and largest height and width of a digit in pixels.
        contrast: Smallest and largest brightness of a digit, 0 to 1.
        pretrain: Digits for training without labels.
        placements: Images made from each of those digits.
        target: Digits of the unlabelled images of the target domain.
        labelled_train: Digits with labels to compare with; all that are left are for testing.
    """

    side: int = 32
    digit_side: tuple[int, int] = (14, 18)
    contrast: tuple[float, float] = (0.7, 1.0)
    pretrain: int = 900
    placements: int = 1
    target: int = 128
    labelled_train: int = 400


@dataclass(frozen=True)
class CanvasFolders:
    """Where the splits lie; no digit is in two of them.

    Attributes:
        pretrain: Unlabelled images for training.
        target: Unlabelled images of the target domain.
        labelled_train: Images in one folder a class, to compare with.
        labelled_test: Images in one folder a class, held back.
    """

    pretrain: Path
    target: Path
    labelled_train: Path
    labelled_test: Path


def write_canvases(
    root: Path, *, seed: int = 0, options: CanvasOptions | None = None
) -> CanvasFolders:
    """Writes the digits as folders of PNG files, all or nothing; a second call changes nothing.

    Args:
        root: The folder to make; its parents are made too.
        seed: Chooses splits, places and scales.
        options: Sizes of images and splits.

    Raises:
        HwsearchError: If the folder exists and holds something else.
    """
    options = options or CanvasOptions()
    folders = CanvasFolders(
        root / "pretrain", root / "target", root / "labelled" / "train", root / "labelled" / "test"
    )
    recipe = json.dumps({"version": _VERSION, "seed": seed, **asdict(options)})
    marker = root / _MARKER
    if marker.exists() and marker.read_text() == recipe:
        return folders
    if root.exists():
        raise HwsearchError(
            "the folder holds other images", where=root, fix="Remove it, or choose another --out"
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".canvas-") as work:
        made = Path(work) / root.name
        _write_splits(made, seed, options)
        (made / _MARKER).write_text(recipe)
        shutil.move(made, root)
    return folders


def _write_splits(root: Path, seed: int, options: CanvasOptions) -> None:
    digits = DigitsSource()
    order = permutation(len(digits), seed)
    ends = np.cumsum((options.pretrain, options.target, options.labelled_train))
    pretrain, target, train, test = np.split(order, ends)
    for split, indices, placements, labelled in (
        ("pretrain", pretrain, options.placements, False),
        ("target", target, 1, False),
        ("labelled/train", train, 1, True),
        ("labelled/test", test, 1, True),
    ):
        for index in indices.tolist():
            folder = root / split / str(digits.label(index)) if labelled else root / split
            folder.mkdir(parents=True, exist_ok=True)
            for placement in range(placements):
                image = place_digit(digits, index, options, seed=seed, placement=placement)
                name = f"{digits.sample_name(index)}-{placement}.png"
                Image.fromarray(image[:, :, 0]).save(folder / name)


def place_digit(
    digits: Source, index: int, options: CanvasOptions, *, seed: int, placement: int
) -> np.ndarray:
    """Pastes one digit on a black canvas; scale, place and contrast follow the seed.

    Args:
        digits: Where the digit comes from.
        index: Its position there.
        options: Sizes and contrast.
        seed: Chooses place, scale and contrast.
        placement: Which of the digit's images to make, from 0.

    Returns:
        uint8[side, side, 3].
    """
    scale, left, top, contrast = uniform(seed, index, placement, np.arange(4))
    low, high = options.digit_side
    side = low + int(scale * (high - low + 1))
    faint, bright = options.contrast
    digit = Image.fromarray(digits.image(index)).resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(digit) * (faint + (bright - faint) * contrast)
    canvas = np.zeros((options.side, options.side, 3), dtype=np.uint8)
    x, y = (int(place * (options.side - side + 1)) for place in (left, top))
    canvas[y : y + side, x : x + side] = np.rint(pixels)
    return canvas
