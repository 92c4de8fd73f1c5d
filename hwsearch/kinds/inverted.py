"""Inverted residual blocks with depthwise convolutions (MobileNetV2, arXiv 1801.04381)."""

from hwsearch.block import Block
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import INPUT, Add, Conv, Layer


@register_kind("conv-relu6")
def _conv(block: Block) -> tuple[Layer, ...]:
    return (Conv("conv", INPUT, "in", "out", block.kernel, block.stride, "relu6"),)


@register_kind("separable")
def _separable(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("depth", INPUT, "in", "in", block.kernel, block.stride, "relu6", depthwise=True),
        Conv("project", "depth", "in", "out", activation="none"),
    )


@register_kind("inverted")
def _inverted(block: Block) -> tuple[Layer, ...]:
    return _branch(block, residual=False)


@register_kind("inverted-residual")
def _inverted_residual(block: Block) -> tuple[Layer, ...]:
    return (*_branch(block, residual=True), Add("sum", "project", INPUT))


def _branch(block: Block, *, residual: bool) -> tuple[Layer, ...]:
    kernel, stride = block.kernel, block.stride
    return (
        Conv("expand", INPUT, "in", "inner", activation="relu6"),
        Conv("depth", "expand", "inner", "inner", kernel, stride, "relu6", depthwise=True),
        Conv("project", "depth", "inner", "out", activation="none", zero_init=residual),
    )
