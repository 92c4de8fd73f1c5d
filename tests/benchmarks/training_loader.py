"""Our loader of images beside a bare loop that decodes the same archives."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rounds import ratio
from training_setting import Setting

from hwsearch.data.loader import Loader, LoaderOptions
from hwsearch.data.sources import open_source


def time_loader(setting: Setting, data: str) -> dict[str, Any]:
    """Reads the same images by our loader and by a bare loop over the archives."""
    source = open_source(data)
    options = LoaderOptions(batch=setting.batch, side=setting.side, cache_mb=0, workers=0)
    loader = iter_for_ever(Loader(source, options))
    blobs = bare_blobs(data, 20 * setting.batch)
    rng = np.random.default_rng(0)

    def bare() -> None:
        picked = rng.permutation(len(blobs))[: setting.batch]
        np.stack([decoded(blobs[i], setting.side) for i in picked])

    found = setting.time(loader=lambda: next(loader), bare=bare)
    rate = {name: setting.batch / float(np.median(seconds)) for name, seconds in found.items()}
    return {
        "loader over bare loop": ratio(found, "loader", "bare"),
        "loader images per second": rate,
    }


def decoded(blob: bytes, side: int) -> np.ndarray:
    """Reads an image at a side in pixels, uint8[side, side, 3]."""
    image = Image.open(io.BytesIO(blob)).convert("RGB")
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def iter_for_ever(loader: Loader) -> Iterator[Any]:
    """Goes through epoch after epoch."""
    while True:
        yield from loader


def bare_blobs(data: str, most: int) -> list[bytes]:
    """Reads encoded images from archives into memory."""
    blobs: list[bytes] = []
    for path in sorted(Path(data).parent.glob(Path(data).name)):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith((".png", ".jpg", ".jpeg")):
                    file = archive.extractfile(member)
                    assert file is not None
                    blobs.append(file.read())
                if len(blobs) == most:
                    return blobs
    return blobs
