"""Bytes of an encoded image to RGB pixels: simplejpeg where it can, Pillow for all else."""

import io
import warnings

import numpy as np
from PIL import Image

from hwsearch.data.sources.base import CorruptImage

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
"""Endings, in lower case, of the files that are taken for images."""

_MAX_PIXELS = 100_000_000
"""Larger images are refused: a few hostile bytes can claim any size."""


def decode(data: bytes, name: str) -> np.ndarray:
    """Decodes an image of any common format and mode; only its first frame.

    Transparency is dropped, 16-bit grey is reduced to its high byte, an orientation tag is
    ignored, as image sets are usually read.

    Args:
        data: The encoded image.
        name: What to call it in an error.

    Returns:
        uint8[H, W, 3].

    Raises:
        CorruptImage: If the bytes are truncated, damaged or not an image.
    """
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        pixels = _decode_jpeg(data)
        if pixels is not None:
            return pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                _check_size(*image.size)
                return _to_rgb(image)
    # Pillow's decoders raise SyntaxError, struct.error, zlib.error and more on damaged bytes.
    except Exception as cause:
        raise CorruptImage(name, _reason(cause, data)) from cause


def _decode_jpeg(data: bytes) -> np.ndarray | None:
    """Decodes a plain colour or grey JPEG; None leaves the judgement to Pillow."""
    assert simplejpeg is not None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in ("CMYK", "YCCK") or int(height) * int(width) > _MAX_PIXELS:
            return None
        return simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None


def _check_size(width: int, height: int) -> None:
    if width * height > _MAX_PIXELS:
        raise ValueError(f"{width}×{height} pixels are more than {_MAX_PIXELS:,}")


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        kind = "signed integer" if image.mode == "I" else "floating-point"
        raise ValueError(f"{kind} pixels have no known range")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _reason(cause: Exception, data: bytes) -> str:
    if not data:
        return "empty file"
    if isinstance(cause, Image.UnidentifiedImageError):
        return "not an image"
    return " ".join(str(cause).split()) or type(cause).__name__
