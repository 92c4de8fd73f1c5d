"""Elastic layers: shared weights of which a block uses the first channels, or runs of them.

Shapes: B batch, C channels, H W side, N tokens.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.block import Block, Ranges
from hwsearch.kinds import layers_of, shapes_of
from hwsearch.layers import Conv, Layer, LayerNorm, Linear, Position, Weights
from hwsearch.nn.convolution import convolve
from hwsearch.nn.norms import Norm, Normalising
from hwsearch.nn.walk import activate, run_layers
from hwsearch.nn.weights import LAYER_NORM_EPS, initialise, take


class ElasticLayer(Normalising):
    """The shared tensors of one layer.

    Args:
        layer: What to compute, in any block of the slot.
        largest: Shapes that hold every block of the slot.
        residual_scale: Scale that the last norm of a residual branch starts with.
    """

    def __init__(self, layer: Layer, largest: Weights, residual_scale: float) -> None:
        super().__init__()
        for name, shape in largest.items():
            tensor = nn.Parameter(torch.empty(shape))
            initialise(layer, name, tensor, residual_scale)
            self.register_parameter(name, tensor)

    def sliced(self, layer: Layer, block: Block) -> dict[str, Tensor]:
        """Returns the tensors of one block's layer, by name."""
        shapes = layer.weights(block, shapes_of(block)[layer.source])
        return {
            name: take(name, self.get_parameter(name), shape, _runs(layer, name, block))
            for name, shape in shapes.items()
        }

    def forward(self, x: Tensor, layer: Layer, block: Block) -> Tensor:
        """Computes the layer for one block of the slot."""
        return run_weighted(layer, x, self.sliced(layer, block), self.batch_norm)


def _runs(layer: Layer, name: str, block: Block) -> list[Ranges | None]:
    return [block.ranges_of(size) for size in layer.axes(name)] if block.ranges else []


def _reach(layer: Layer, block: Block) -> Weights:
    """Returns how large shared tensors must be for one block to take its part of them."""
    needed = layer.weights(block, shapes_of(block)[layer.source])
    for name, shape in needed.items() if block.ranges else ():
        ends = [max(stop for _, stop in runs) if runs else 0 for runs in _runs(layer, name, block)]
        ends += [0] * (len(shape) - len(ends))
        needed[name] = tuple(end or size for end, size in zip(ends, shape, strict=True))
    return needed


def run_weighted(layer: Layer, x: Tensor, weights: Mapping[str, Tensor], norm: Norm) -> Tensor:
    """Computes a layer with given tensors and the given batch norm."""
    match layer:
        case Conv():
            weight = weights["weight_OIHW"]
            groups = len(weight) if layer.depthwise else 1
            bias = weights.get("bias")
            x = convolve(
                x,
                weight,
                bias,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=groups,
            )
            if layer.norm:
                x = norm(x, weights["scale"], weights["shift"])
            return activate(x, layer.activation)
        case Linear():
            return activate(F.linear(x, weights["weight_OI"], weights["bias"]), layer.activation)
        case LayerNorm():
            return F.layer_norm(x, x.shape[-1:], weights["scale"], weights["shift"], LAYER_NORM_EPS)
        case Position():
            return x + weights["weight_CHW"].flatten(1).T
    raise AssertionError(f"{type(layer).__name__} has no weights")


class ElasticBlock(nn.Module):
    """The shared weights of one slot, for every block that the space puts there.

    Args:
        blocks: All blocks of the slot; they share one kind.
        residual_scale: Scale that the last norm of a residual branch starts with.
    """

    def __init__(self, blocks: Iterable[Block], residual_scale: float = 0.0) -> None:
        super().__init__()
        blocks = tuple(blocks)
        assert len({block.kind for block in blocks}) == 1, f"mixed kinds in slot {blocks[0].slot}"
        largest: dict[str, Weights] = {}
        for block in blocks:
            for layer in layers_of(block):
                needed = _reach(layer, block)
                before = largest.setdefault(layer.name, needed)
                largest[layer.name] = {
                    name: tuple(map(max, before[name], needed[name])) for name in needed
                }
        for layer in layers_of(blocks[0]):
            if shapes := largest[layer.name]:
                self.add_module(layer.name, ElasticLayer(layer, shapes, residual_scale))

    def forward(self, block: Block, *inputs: Tensor) -> Tensor:
        """Runs one block of the slot."""
        return run_layers(
            block, inputs, lambda layer, x: self.get_submodule(layer.name)(x, layer, block)
        )
