"""Convolution as torch has it, around an error of oneDNN's.

Shapes: B batch, C channels, H W side.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW_CHANNELS = 16
"""Up to here oneDNN's backward pass of a 1×1 convolution with a stride writes past its memory (8 on
AVX2, 16 on AVX-512): wrong gradients, or the process ends (uxlfoundation/oneDNN issue 6035)."""


def convolve(
    x_BCHW: Tensor,
    weight_OIHW: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> Tensor:
    """Convolves, with gradients that are right for few channels, too."""
    learns = torch.is_grad_enabled() and weight_OIHW.requires_grad
    if stride > 1 and learns and _at_risk(x_BCHW, weight_OIHW):
        x_BCHW, stride = x_BCHW[:, :, ::stride, ::stride], 1
    return F.conv2d(x_BCHW, weight_OIHW, bias, stride, padding, dilation, groups)


def _at_risk(x_BCHW: Tensor, weight_OIHW: Tensor) -> bool:
    few, kernel = weight_OIHW.shape[1] < FEW_CHANNELS, weight_OIHW.shape[-1]
    return kernel == 1 and few and x_BCHW.device.type == "cpu"


class Convolution(nn.Conv2d):
    """The same with weights of its own."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Convolves."""
        return convolve(
            x_BCHW,
            self.weight,
            self.bias,
            stride=self.stride[0],
            padding=int(self.padding[0]),
            dilation=self.dilation[0],
            groups=self.groups,
        )
