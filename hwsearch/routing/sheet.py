"""Contact sheets: what the images of a cluster look like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.data.prepare import prepare
from hwsearch.data.sources import CorruptImage, Source

SIDE, COLUMNS, ROWS = 64, 8, 8
"""Pixels of a picture, and pictures of a sheet."""

_GAP = 2


def write_sheet(source: Source, indices: Sequence[int], path: Path) -> Path:
    """Writes the first images that can be read, side by side, as PNG."""
    step = SIDE + _GAP
    sheet = Image.new("RGB", (COLUMNS * step - _GAP, ROWS * step - _GAP), "white")
    for place, pixels in enumerate(_readable(source, indices)):
        sheet.paste(Image.fromarray(pixels), (place % COLUMNS * step, place // COLUMNS * step))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _readable(source: Source, indices: Sequence[int]) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for index in indices:
        if len(found) == COLUMNS * ROWS:
            break
        try:
            found.append(prepare(source.image(index), SIDE))
        except CorruptImage:
            continue
    return found
