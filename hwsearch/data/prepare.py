"""The one way an image reaches a network outside training; needs neither torch nor a GPU."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from hwsearch.layers import MEAN, STD

__all__ = ["MEAN", "STD", "normalise_array", "prepare"]


def prepare(image: np.ndarray, side: int) -> np.ndarray:
    """Cuts the centre square out of an image and scales it, antialiased, to a side in pixels.

    Args:
        image: uint8[H, W, 3].
        side: Height and width of the result in pixels.

    Returns:
        uint8[side, side, 3].
    """
    height, width = image.shape[:2]
    if height == width == side:
        return image
    short = min(height, width)
    left, top = (width - short) / 2, (height - short) / 2
    box = (left, top, left + short, top + short)
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)


def normalise_array(
    images: np.ndarray,
    mean: float | Sequence[float] = MEAN,
    std: float | Sequence[float] = STD,
) -> np.ndarray:
    """Turns prepared images into a network's input.

    Args:
        images: uint8[B, S, S, 3].
        mean: Subtracted from pixels scaled to 0 to 1, for all channels or for each.
        std: Divides the result, likewise.

    Returns:
        float32[B, 3, S, S].
    """
    scaled = images.astype(np.float32) / np.float32(255)
    normalised = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
