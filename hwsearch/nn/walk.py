"""The walk through the layers of a block that static and elastic modules share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hwsearch.block import Block, Shape
from hwsearch.cell_layers import Concat, Pool, Relu, Shift
from hwsearch.data.prepare import MEAN, STD
from hwsearch.kinds import input_names, layers_of, shapes_of
from hwsearch.layers import (
    Activation,
    Add,
    Attention,
    GlobalPool,
    Layer,
    MaxPool,
    Preprocess,
    Tokens,
    Upsample,
)


def run_layers(
    block: Block, inputs: Sequence[Tensor], weighted: Callable[[Layer, Tensor], Tensor]
) -> Tensor:
    """Runs the layers of a block in order.

    Args:
        block: What to run.
        inputs: Of the block, in order.
        weighted: Computes a layer that has learned tensors; it alone owns them.

    Returns:
        Output of the last layer.
    """
    values, y = dict(zip(input_names(block), inputs, strict=True)), inputs[0]
    for layer in layers_of(block):
        sources = [values[name] for name in layer.sources]
        y = values[layer.name] = _run(block, layer, sources, weighted)
    return y


def _run(
    block: Block, layer: Layer, sources: list[Tensor], weighted: Callable[[Layer, Tensor], Tensor]
) -> Tensor:
    # Traced graphs hold sizes as numbers only where they are Python's own.
    x, shape = sources[0], shapes_of(block)[layer.source]
    match layer:
        case Add():
            y = activate(x + sources[1], layer.activation)
        case MaxPool():
            y = F.max_pool2d(x, 3, 2, 1)
        case GlobalPool():
            y = x.mean(1)[:, :, None, None] if x.dim() == 3 else x.mean((2, 3), keepdim=True)
        case Tokens():
            channels, height, width = shape
            y = x.reshape(-1, channels, height * width).transpose(1, 2)
        case Attention():
            y = _attend(sources, layer.heads, shape)
        case Relu():
            y = F.relu(x)
        case Pool():
            y = _pool(x, layer)
        case Shift():
            y = x[:, :, 1:, 1:]
        case Concat():
            y = torch.cat(sources, 1)
        case Upsample():
            y = F.interpolate(x, (layer.side, layer.side), mode="bilinear")
        case Preprocess():
            y = _preprocess(x, (block.in_side, layer.side))
        case _:
            y = weighted(layer, x)
    return y


def _pool(x: Tensor, layer: Pool) -> Tensor:
    if layer.statistic == "max":
        return F.max_pool2d(x, 3, layer.stride, 1)
    return F.avg_pool2d(x, 3, layer.stride, 1, count_include_pad=False)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Applies an activation by name, over its input where it can."""
    match activation:
        case "relu":
            return F.relu(x, inplace=True)
        case "relu6":
            return F.relu6(x, inplace=True)
        case "gelu":
            return F.gelu(x)
    return x


def _attend(sources: list[Tensor], heads: int, shape: Shape) -> Tensor:
    """Attends over all tokens; queries, keys and values are [B, N, C]."""
    channels, tokens, width = shape[0], shape[1] * shape[2], shape[0] // heads
    query, key, value = (x.reshape(-1, tokens, heads, width).transpose(1, 2) for x in sources)
    y = F.scaled_dot_product_attention(query, key, value, scale=width**-0.5)
    return y.transpose(1, 2).reshape(-1, tokens, channels)


def _preprocess(frames_BHWC: Tensor, sides: tuple[int, int]) -> Tensor:
    """Scales to the second of two sides in pixels, without antialiasing, and normalises."""
    # Bytes must be cast before anything else moves them, or TensorRT refuses the graph.
    x_BCHW = frames_BHWC.float().permute(0, 3, 1, 2)
    before, side = sides
    if before != side:
        x_BCHW = F.interpolate(x_BCHW, (side, side), mode="bilinear")
    return (x_BCHW / 255 - MEAN) / STD
