"""Learned tensors of layers: how they start, and how a block takes its part of shared ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.block import Ranges
from hwsearch.layers import Conv, Layer

NORM_EPS = 1e-5
"""Of batch norms; layer norms take `LAYER_NORM_EPS`."""

LAYER_NORM_EPS = 1e-6


@torch.no_grad()
def initialise(layer: Layer, name: str, tensor: Tensor, residual_scale: float = 0.0) -> None:
    """Fills a learned tensor as training starts with it.

    Args:
        layer: Owner of the tensor.
        name: Name of the tensor, as `Layer.weights` gives it.
        tensor: Filled in place.
        residual_scale: Scale that the last norm of a residual branch starts with.
    """
    match name:
        case "scale":
            tensor.fill_(residual_scale if isinstance(layer, Conv) and layer.zero_init else 1.0)
        case "shift" | "bias":
            tensor.zero_()
        case _ if isinstance(layer, Conv) and (layer.norm or not layer.bias):
            mode = "fan_in" if layer.depthwise else "fan_out"  # torch counts all groups' outputs
            nn.init.kaiming_normal_(tensor, mode=mode, nonlinearity="relu")
        case _:
            nn.init.trunc_normal_(tensor, std=0.02)


def take(
    name: str, shared: Tensor, shape: tuple[int, ...], runs: Sequence[Ranges | None] = ()
) -> Tensor:
    """Returns the part of a shared tensor that has a shape: a view, but for `weight_CHW` and runs.

    Channels are prefixes or given runs, kernels are the centre of the largest, positions are
    resampled.

    Args:
        name: Name of the tensor, as `Layer.weights` gives it.
        shared: As large as any block needs it.
        shape: As large as this block needs it.
        runs: For each axis the runs to take, or None for a prefix.
    """
    for axis, ranges in enumerate(runs):
        if ranges is not None:
            shared = _runs(shared, axis, ranges)
    if tuple(shared.shape) == shape:
        return shared
    match name:
        case "weight_OIHW":
            edge = (shared.shape[-1] - shape[-1]) // 2
            return _part(shared, shape, edge * sum(shared.stride()[2:]))
        case "weight_CHW":
            kept = shared[: shape[0]]
            if kept.shape == shape:
                return kept
            return F.interpolate(kept[None], shape[1:], mode="bicubic", antialias=True)[0]
        case _:
            return _part(shared, shape)


def _runs(shared: Tensor, axis: int, ranges: Ranges) -> Tensor:
    # Neighbours are taken as one: all groups of channels together are the tensor itself.
    joined = [ranges[0]]
    for start, stop in ranges[1:]:
        before, end = joined[-1]
        if start == end:
            joined[-1] = (before, stop)
        else:
            joined.append((start, stop))
    if joined == [(0, shared.shape[axis])]:
        return shared
    parts = [shared.narrow(axis, start, stop - start) for start, stop in joined]
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _part(shared: Tensor, shape: tuple[int, ...], start: int = 0) -> Tensor:
    # One view instead of one an axis, whose gradients would each be as large as the whole.
    return shared.as_strided(shape, shared.stride(), shared.storage_offset() + start)
