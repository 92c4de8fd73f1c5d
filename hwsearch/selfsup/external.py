"""A teacher from elsewhere: frozen, and fed with images as it was trained on.

Shapes: B batch, C channels, H W side, E its features.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwsearch.data.prepare import MEAN, STD
from hwsearch.errors import HwsearchError
from hwsearch.nn.features import Features
from hwsearch.nn.supernet import resized


class ExternalTeacher(nn.Module):
    """A network that never learns.

    Args:
        net: From images [B, 3, side, side] to features [B, E], or to feature maps [B, C, H, W] in
            a sequence, fine to coarse; frozen from now on.
        side: Height and width in pixels of the images that it takes.
        mean: Of pixels from 0 to 1, as it was trained: for all channels or for each.
        std: Likewise.
        origin: What names it, for errors.

    Attributes:
        width: E, or the channels of the coarsest map.
        levels: How many maps it gives.

    Raises:
        HwsearchError: If it cannot take such images or gives no such features.
    """

    mean_311: Tensor
    std_311: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        side: int,
        mean: float | Sequence[float] = MEAN,
        std: float | Sequence[float] = STD,
        origin: str,
    ) -> None:
        super().__init__()
        self.net, self.side = net.requires_grad_(False), side
        self.register_buffer("mean_311", _of_channels(mean, origin))
        self.register_buffer("std_311", _of_channels(std, origin))
        self.eval()
        self.levels, self.width = self._find_sizes(origin)

    def train(self, mode: bool = True) -> "ExternalTeacher":
        """Does nothing: a teacher stays in evaluation mode."""
        return super().train(False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Computes its features [B, E], in fp32, of images that are normalised for subnets."""
        return self.observe(images_BCHW).embedding

    @torch.no_grad()
    def observe(self, images_BCHW: Tensor) -> Features:
        """Computes its feature maps, if it gives any, and its features, the coarsest pooled."""
        given = self._run(images_BCHW)
        if isinstance(given, Tensor):
            return Features((), {"embedding": given.float()})
        levels = tuple(level.float() for level in given)
        return Features(levels, {"embedding": levels[-1].mean((2, 3))})

    def _run(self, images_BCHW: Tensor) -> Tensor | Sequence[Tensor]:
        pixels_BCHW = resized(images_BCHW * STD + MEAN, self.side)
        return self.net((pixels_BCHW - self.mean_311) / self.std_311)

    @torch.no_grad()
    def _find_sizes(self, origin: str) -> tuple[int, int]:
        try:
            given = self._run(torch.zeros(2, 3, self.side, self.side))
        except Exception as cause:  # of any module that a user may give
            told = " ".join(f"{type(cause).__name__}: {cause}".split())
            what = f"the teacher takes no images of {self.side} pixels: {told[:200]}"
            raise HwsearchError(what, where=origin) from cause
        return _sizes(given, origin)

    def fingerprint(self) -> str:
        """Names its weights and how images are prepared for it."""
        digest = hashlib.sha256(f"{self.side}".encode())
        for name, value in self.state_dict().items():
            digest.update(f"|{name}{list(value.shape)}{value.dtype}|".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def _sizes(given: object, origin: str) -> tuple[int, int]:
    """Returns how many maps a teacher gives for 2 images, and the width of its features."""
    maps, dims = ([given], 2) if isinstance(given, Tensor) else (given, 4)
    if not isinstance(maps, list | tuple) or not all(isinstance(found, Tensor) for found in maps):
        fix = "Return one tensor of it, such as `.pooler_output`"
        raise _useless(type(given).__name__, origin, fix)
    shapes = [list(found.shape) for found in maps]
    if not shapes or any(len(shape) != dims or shape[0] != 2 for shape in shapes):
        fix = "Pool its feature maps to one vector an image, or give them as a list"
        raise _useless(", ".join(map(str, shapes)) or "nothing", origin, fix)
    return (len(maps) if dims == 4 else 0), shapes[-1][1]


def _useless(given: str, origin: str, fix: str) -> HwsearchError:
    what = f"the teacher gives {given} for 2 images, not [2, E] nor maps [2, C, H, W]"
    return HwsearchError(what, where=origin, fix=fix)


def _of_channels(value: float | Sequence[float], origin: str) -> Tensor:
    values = torch.as_tensor(value, dtype=torch.float32).flatten()
    if len(values) not in (1, 3):
        raise HwsearchError(
            f"the teacher's images have 3 channels, not {len(values)}",
            where=origin,
            fix="Give one mean and deviation, or three",
        )
    return values.expand(3).reshape(3, 1, 1).clone()
