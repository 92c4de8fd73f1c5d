"""Batch norm under the statistics of the batch at hand: of this process, or of all together.

No running statistics are kept: one set of them cannot be right for networks of different widths.

Shapes: B batch, C channels, W processes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from hwsearch.nn.processes import add_up, gather, world
from hwsearch.nn.weights import NORM_EPS

Norm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Normalises [B, C, ...] over all but the channels, then scales and shifts by [C] each."""


def batch_norm(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    """Normalises by the statistics of this process's images."""
    return F.batch_norm(x, None, None, scale_C, shift_C, training=True, eps=NORM_EPS)


def sync_batch_norm(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    """Normalises by the statistics of all processes' images; each has equally many.

    Gradients are those of the sum of all processes' losses.
    """
    if world() == 1:
        return batch_norm(x, scale_C, shift_C)
    return _SyncNorm.apply(x, scale_C, shift_C)  # pyright: ignore[reportReturnType]


class Normalising(nn.Module):
    """A module that normalises batches, by `self.batch_norm(x, scale, shift)`."""

    batch_norm: Norm = staticmethod(batch_norm)


def synchronise(module: nn.Module) -> None:
    """Makes every norm in a module take the statistics of all processes from now on."""
    for part in list(module.modules()):
        if isinstance(part, Normalising):
            part.batch_norm = sync_batch_norm
        for name, child in part.named_children():
            if isinstance(child, nn.BatchNorm1d):
                setattr(part, name, _SyncBatchNorm1d(child))


class _SyncBatchNorm1d(nn.Module):
    """Stands for torch's norm of rows [B, C]; its tensors keep their names."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        assert not norm.track_running_stats
        self.register_parameter("weight", norm.weight)
        self.register_parameter("bias", norm.bias)

    def forward(self, x_BC: Tensor) -> Tensor:
        """Normalises."""
        width = x_BC.shape[1]
        scale_C = x_BC.new_ones(width) if self.weight is None else self.weight
        shift_C = x_BC.new_zeros(width) if self.bias is None else self.bias
        return sync_batch_norm(x_BC, scale_C, shift_C)


class _SyncNorm(Function):
    """Batch norm whose means are taken over all processes, forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:  # noqa: ANN401
        """Normalises, in fp32."""
        var_C, mean_C = torch.var_mean(x.float(), _but_channels(x), correction=0)
        means_WC, vars_WC = gather(torch.stack([mean_C, var_C])).unbind(1)
        mean_C = means_WC.mean(0)
        var_C = vars_WC.mean(0) + means_WC.var(0, correction=0)
        inverse_std_C = (var_C + NORM_EPS).rsqrt()
        ctx.save_for_backward(x, scale_C, mean_C, inverse_std_C)
        centred = x.float() - _wide(mean_C, x)
        factor_C = scale_C * inverse_std_C
        return torch.addcmul(_wide(shift_C, x), centred, _wide(factor_C, x)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401  # pyright: ignore
        """Takes out what moves all of a channel alike, as the forward pass does."""
        x, scale_C, mean_C, inverse_std_C = ctx.saved_tensors
        gradient = gradient.float()
        normal = (x.float() - _wide(mean_C, x)) * _wide(inverse_std_C, x)
        dims = _but_channels(x)
        sums_2C = torch.stack([gradient.sum(dims), (gradient * normal).sum(dims)])
        means_2C = sums_2C.clone()
        add_up(means_2C)
        means_2C /= world() * x.numel() / x.shape[1]
        common = torch.addcmul(_wide(means_2C[0], x), normal, _wide(means_2C[1], x))
        to_x = (gradient - common) * _wide(scale_C * inverse_std_C, x)
        return to_x.to(x.dtype), sums_2C[1], sums_2C[0]


def _but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.dim()) if dim != 1]


def _wide(value_C: Tensor, x: Tensor) -> Tensor:
    """Gives one value a channel the number of dimensions of x."""
    return value_C.float().view(-1, *(1,) * (x.dim() - 2))
