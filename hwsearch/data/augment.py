"""MoCo v2's augmentation (arXiv 2003.04297) for whole batches, on the batch's device.

Shape suffixes: B images, C colours, H and W height and width of the stored image.
"""

from math import ceil, log, pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hwsearch.data.augment_options import AugmentOptions
from hwsearch.data.draws import uniform
from hwsearch.data.prepare import MEAN, STD

_GREY = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
_REFERENCE_SIDE = 224
"""Side in pixels of the images for which MoCo v2's blur was chosen."""


def augment(
    images: Tensor,
    indices: Tensor,
    *,
    side: int,
    seed: int,
    epoch: int,
    view: int,
    options: AugmentOptions,
) -> Tensor:
    """Makes one normalised random view of each image.

    What happens to an image depends on (seed, epoch, index, view) only: neither the rest of the
    batch nor workers nor a resumed run change it. Colour is jittered by one affine map, in the
    order brightness, contrast, saturation, hue, and clipped once at the end.

    Args:
        images: uint8[B, 3, H, W] on any device.
        indices: Position of each image in its source, int64[B].
        side: Height and width of the views in pixels.
        seed: The run's seed.
        epoch: Pass over the data.
        view: Which view of the image, from 0.
        options: Strengths.

    Returns:
        float32[B, 3, side, side] on the images' device, normalised as `prepare.MEAN` and `STD` say.
    """
    draws = _Draws(seed, epoch, indices.cpu().numpy(), view, images.device)
    x_BCHW = _crop(images.float().div_(255), side, draws, options)
    x_BCHW = _recolour(x_BCHW, draws, options)
    x_BCHW = _blur(x_BCHW, side, draws, options)
    return x_BCHW.sub_(MEAN).div_(STD)


class _Draws:
    """Uniform random numbers of each image in a batch, by name of their use."""

    _USES = (
        *("area", "ratio", "left", "top", "flip"),
        *("jitter", "brightness", "contrast", "saturation", "hue"),
        *("grey", "blur", "sigma"),
    )

    def __init__(
        self, seed: int, epoch: int, indices: np.ndarray, view: int, device: torch.device
    ) -> None:
        uses = np.arange(len(self._USES))
        numbers = uniform(seed, epoch, indices[:, None], view, uses).T.astype(np.float32)
        self._columns = dict(zip(self._USES, torch.from_numpy(numbers).to(device), strict=True))

    def between(self, use: str, low: float, high: float) -> Tensor:
        """Returns float32[B], uniform from low to high."""
        return low + (high - low) * self._columns[use]

    def happens(self, use: str, share: float) -> Tensor:
        """Returns bool[B], true for a share of all images."""
        return self._columns[use] < share


def _crop(x_BCHW: Tensor, side: int, draws: _Draws, options: AugmentOptions) -> Tensor:
    """Cuts a random rectangle out of each image and scales it to side × side pixels."""
    area = draws.between("area", *options.crop_scale)
    ratio = torch.exp(draws.between("ratio", *(log(end) for end in options.crop_ratio)))
    largest = max(options.crop_scale[1], 1.0) ** 0.5
    width = (area * ratio).sqrt().clamp(max=largest)
    height = (area / ratio).sqrt().clamp(max=largest)
    centre_x = ((1 - width).abs() + options.crop_shift) * draws.between("left", -1, 1)
    centre_y = ((1 - height).abs() + options.crop_shift) * draws.between("top", -1, 1)
    if options.crop_follow:
        x, y = _content_centre(x_BCHW)
        centre_x, centre_y = centre_x + x, centre_y + y
    mirror = torch.where(draws.happens("flip", options.flip_share), -1.0, 1.0)
    zero = torch.zeros_like(width)
    theta_B23 = torch.stack(
        (
            torch.stack((width * mirror, zero, centre_x), dim=1),
            torch.stack((zero, height, centre_y), dim=1),
        ),
        dim=1,
    )
    grid = F.affine_grid(theta_B23, [len(x_BCHW), 3, side, side], align_corners=False)
    return F.grid_sample(x_BCHW, grid, padding_mode="border", align_corners=False)


def _content_centre(x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Returns where the pixels that differ from the ground lie on average, float32[B] each.

    The ground is the median colour; -1 and 1 are the edges of the image.
    """
    ground = x_BCHW.flatten(2).median(2).values[:, :, None, None]
    weight_BHW = (x_BCHW - ground).abs().sum(1)
    total = weight_BHW.sum((1, 2)).clamp(min=1e-6)
    height, width = weight_BHW.shape[1:]
    device = x_BCHW.device
    x = (torch.arange(width, device=device) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=device) + 0.5) * (2 / height) - 1
    return weight_BHW.sum(1) @ x / total, weight_BHW.sum(2) @ y / total


def _recolour(x_BCHW: Tensor, draws: _Draws, options: AugmentOptions) -> Tensor:
    """Jitters colours and drops them from some images, by one affine map an image."""
    jittered = draws.happens("jitter", options.jitter_share)

    def factor(use: str, most: float) -> Tensor:
        return torch.where(jittered, draws.between(use, 1 - most, 1 + most), 1.0)[:, None, None]

    device = x_BCHW.device
    one = torch.eye(3, device=device)
    to_grey = torch.tensor(_GREY, device=device).expand(3, 3)
    brightness, contrast, saturation = (
        factor(use, most)
        for use, most in zip(
            ("brightness", "contrast", "saturation"), options.jitter[:3], strict=True
        )
    )
    colour_B33 = saturation * one + (1 - saturation) * to_grey
    turns = torch.where(jittered, draws.between("hue", -options.jitter[3], options.jitter[3]), 0.0)
    colour_B33 = _hue_rotation(turns) @ colour_B33
    grey = draws.happens("grey", options.grey_share)[:, None, None]
    colour_B33 = torch.where(grey, to_grey @ colour_B33, colour_B33)
    # Both maps leave grey as it is, so contrast, a blend with the mean grey, commutes with them.
    mean_B11 = (x_BCHW.mean((2, 3)) @ to_grey[0])[:, None, None]
    scale_B33, shift_B11 = (
        contrast * brightness * colour_B33,
        (1 - contrast) * brightness * mean_B11,
    )
    pixels_BCP = torch.baddbmm(shift_B11, scale_B33, x_BCHW.flatten(2))
    return pixels_BCP.clamp_(0, 1).view_as(x_BCHW)


def _hue_rotation(turns_B: Tensor) -> Tensor:
    """Returns the colour maps that rotate hue in YIQ space, float32[B, 3, 3]."""
    to_yiq = torch.tensor(_RGB_TO_YIQ, device=turns_B.device)
    cos, sin = torch.cos(2 * pi * turns_B), torch.sin(2 * pi * turns_B)
    turn_B33 = torch.zeros(len(turns_B), 3, 3, device=turns_B.device)
    turn_B33[:, 0, 0] = 1
    turn_B33[:, 1, 1] = turn_B33[:, 2, 2] = cos
    turn_B33[:, 1, 2], turn_B33[:, 2, 1] = -sin, sin
    return torch.linalg.inv(to_yiq) @ turn_B33 @ to_yiq


def _blur(x_BCHW: Tensor, side: int, draws: _Draws, options: AugmentOptions) -> Tensor:
    """Blurs some images with a Gaussian of their own, as two one-dimensional passes."""
    if options.blur_share == 0:
        return x_BCHW
    per_pixel = side / _REFERENCE_SIDE
    sigma_B1 = draws.between("sigma", *options.blur_sigma)[:, None] * per_pixel
    reach = ceil(2 * options.blur_sigma[1] * per_pixel)
    offsets = torch.arange(-reach, reach + 1, device=x_BCHW.device)
    weights_BK = torch.exp(-(offsets**2) / (2 * sigma_B1**2))
    sharp = (offsets == 0).float()
    blurred = draws.happens("blur", options.blur_share)[:, None]
    weights_BK = torch.where(blurred, weights_BK / weights_BK.sum(1, keepdim=True), sharp)
    batch, colours, height, width = x_BCHW.shape
    kernels = weights_BK.repeat_interleave(colours, dim=0)
    flat = F.pad(x_BCHW.reshape(1, batch * colours, height, width), (reach,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, :, None], groups=batch * colours)
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=batch * colours)
    return flat.view(batch, colours, height, width)
