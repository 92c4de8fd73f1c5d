"""The head of all dense judges: a small feature pyramid down to one map (arXiv 1612.03144).

Shapes: B images, C channels, G side of the finest map that is read, F width, K outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 32
"""Channels inside the head: few, so that features and not the head decide."""

STRIDE = 4
"""Pixels a side for a place of the finest map that is read, at least."""


class PyramidHead(nn.Module):
    """Brings every map to one width, adds coarse ones to finer ones, and tells K numbers a place.

    Args:
        channels: Of each map, fine to coarse.
        outputs: How many numbers to tell, K.
        bias: What each output starts with, float[K].
    """

    def __init__(self, channels: Sequence[int], outputs: int, bias: Tensor) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(count), nn.Conv2d(count, WIDTH, 1)) for count in channels
        )
        self.mix = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()
        )
        self.tell = nn.Conv2d(WIDTH, outputs, 1)
        nn.init.normal_(self.tell.weight, std=0.01)
        with torch.no_grad():
            self.tell.bias.copy_(bias)  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Computes [B, K, G, G] from maps [B, C, H, W], fine to coarse."""
        pairs = [*zip(self.laterals, maps, strict=True)][::-1]
        y_BFHW = pairs[0][0](pairs[0][1])
        for lateral, x_BCHW in pairs[1:]:
            finer_BFHW = lateral(x_BCHW)
            y_BFHW = finer_BFHW + F.interpolate(y_BFHW, finer_BFHW.shape[-2:], mode="nearest")
        return self.tell(self.mix(y_BFHW))


def readable(levels: Sequence[Tensor], side: int) -> list[Tensor]:
    """Returns the maps that a head reads: those of `STRIDE` pixels a place or more.

    A network all of whose maps are finer gives its coarsest one, pooled.

    Args:
        levels: All maps [B, C, H, W], fine to coarse.
        side: Height and width of the images in pixels.
    """
    most = max(1, side // STRIDE)
    found = [level_BCHW for level_BCHW in levels if level_BCHW.shape[-1] <= most]
    return found or [F.adaptive_avg_pool2d(levels[-1], most)]
