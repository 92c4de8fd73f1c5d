"""Networks that compute as an engine of some precision would: a cheap estimate of its outputs.

What is multiplied is rounded, and sums are kept in fp32, as integer and half-precision kernels do.
Scales are those of deployment: symmetric and for each channel of a weight, from the least to the
greatest value seen for an activation. The rounding of attention's own products is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hwsearch.nn.folded import fold_norms
from hwsearch.nn.static import StaticConv, StaticNet

RANGE_IMAGES = 128
"""Target images that ranges are told from, here and for the engines that are delivered."""

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_STEPS, _WEIGHT_STEPS, _HALF_RANGE = 255, 127, 64
"""Of an unsigned activation, and of a signed weight on each side of zero, whole and half."""

_LEAST = 1e-12
"""A range of zeros alone has a scale too."""

Change = Callable[[Tensor], Tensor]
"""What is done to a tensor on its way into a product or out of it."""


@torch.no_grad()
def rounded(
    net: StaticNet, precision: str, batches: Iterable[Tensor], *, half_range: bool = False
) -> StaticNet:
    """Rounds weights, and from then on activations, as an engine does.

    Args:
        net: A calibrated network in evaluation mode; it is changed.
        precision: "fp32" rounds nothing; "bf16", "fp16" or "int8".
        batches: Normalised images that tell the ranges of int8 activations.
        half_range: Whether int8 weights keep to half their range, as some processors need.

    Returns:
        The same network; its batch norms are part of its convolutions.
    """
    fold_norms(net)
    if precision == "fp32":
        return net
    for product in _products(net):
        product.weight.copy_(_round_weight(product.weight, precision, half_range))
    _hook(*_roundings(net, precision, batches))
    return net


def _hook(
    inputs: Mapping[nn.Module, Change], outputs: Mapping[nn.Module, Change]
) -> list[RemovableHandle]:
    """Lets what goes into products and comes out of them pass through functions."""
    before = [p.register_forward_pre_hook(partial(_before, f)) for p, f in inputs.items()]
    return before + [p.register_forward_hook(partial(_after, f)) for p, f in outputs.items()]


def _before(change: Change, _: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return change(inputs[0])


def _after(change: Change, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    return change(output)


def _products(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def _round_weight(weight: Tensor, precision: str, half_range: bool) -> Tensor:
    """Rounds a weight [O, …] to the numbers that an engine can hold."""
    if precision in _HALF:
        return weight.to(_HALF[precision]).float()
    largest_O = weight.abs().flatten(1).amax(1).clamp(min=_LEAST)
    steps = _HALF_RANGE if half_range else _WEIGHT_STEPS
    scale_O, zero_O = largest_O / steps, torch.zeros_like(largest_O, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale_O, zero_O, 0, -steps, steps)


def _roundings(
    net: StaticNet, precision: str, batches: Iterable[Tensor]
) -> tuple[Mapping[nn.Module, Change], Mapping[nn.Module, Change]]:
    """Returns how the inputs and outputs of products are rounded."""
    products = _products(net)
    if precision in _HALF:

        def half(x: Tensor) -> Tensor:
            return x.to(_HALF[precision]).float()

        return dict.fromkeys(products, half), dict.fromkeys(products, half)
    convs = [module for module in net.modules() if isinstance(module, StaticConv)]
    # A sum reads these as they are; others are rounded where the next product reads them.
    summed = [module.conv for module in convs if module.layer.activation == "none"]
    inputs: dict[nn.Module, _Range] = {product: _Range() for product in products}
    outputs: dict[nn.Module, _Range] = {product: _Range() for product in summed}
    hooks = _hook(
        {product: seen.see for product, seen in inputs.items()},
        {product: seen.see for product, seen in outputs.items()},
    )
    for x_BCHW in batches:
        net(x_BCHW)
    for hook in hooks:
        hook.remove()
    return inputs, outputs


class _Range:
    """Rounds to 256 even steps between the least and the greatest number seen."""

    def __init__(self) -> None:
        self._low, self._high = 0.0, 0.0

    def see(self, x: Tensor) -> Tensor:
        """Widens the range and changes nothing; zero is always in it, so that padding is exact."""
        low, high = x.aminmax()
        self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
        return x

    def __call__(self, x: Tensor) -> Tensor:
        """Rounds; what is out of the range is taken to its end."""
        scale = max(self._high - self._low, _LEAST) / _STEPS
        return torch.fake_quantize_per_tensor_affine(x, scale, round(-self._low / scale), 0, _STEPS)
