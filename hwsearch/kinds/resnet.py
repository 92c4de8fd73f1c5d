"""Blocks of residual networks (arXiv 1512.03385)."""

from hwsearch.block import Block
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import INPUT, Add, Conv, GlobalPool, Layer, MaxPool


@register_kind("stem")
def _stem(block: Block) -> tuple[Layer, ...]:
    return (Conv("conv", INPUT, "in", "out", block.kernel, block.stride),)


@register_kind("stem-pool")
def _stem_pool(block: Block) -> tuple[Layer, ...]:
    return (*_stem(block), MaxPool("pool", "conv"))


def _bottleneck_branch(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("conv1", INPUT, "in", "inner"),
        Conv("conv2", "conv1", "inner", "inner", block.kernel, block.stride),
        Conv("conv3", "conv2", "inner", "out", activation="none", zero_init=True),
    )


def _shortcut(block: Block) -> Conv:
    return Conv("shortcut", INPUT, "in", "out", 1, block.stride, activation="none")


@register_kind("bottleneck")
def _bottleneck(block: Block) -> tuple[Layer, ...]:
    return (*_bottleneck_branch(block), Add("sum", "conv3", INPUT, "relu"))


@register_kind("bottleneck-projected")
def _bottleneck_projected(block: Block) -> tuple[Layer, ...]:
    total = Add("sum", "conv3", "shortcut", "relu")
    return (*_bottleneck_branch(block), _shortcut(block), total)


def _basic_branch(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("conv1", INPUT, "in", "out", block.kernel, block.stride),
        Conv("conv2", "conv1", "out", "out", block.kernel, activation="none", zero_init=True),
    )


@register_kind("basic")
def _basic(block: Block) -> tuple[Layer, ...]:
    return (*_basic_branch(block), Add("sum", "conv2", INPUT, "relu"))


@register_kind("basic-projected")
def _basic_projected(block: Block) -> tuple[Layer, ...]:
    return (*_basic_branch(block), _shortcut(block), Add("sum", "conv2", "shortcut", "relu"))


def _split_branch(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("conv1", INPUT, "in", "inner", block.kernel, block.stride),
        Conv("conv2", "conv1", "inner", "out", block.kernel, activation="none", zero_init=True),
    )


@register_kind("basic-split")
def _basic_split(block: Block) -> tuple[Layer, ...]:
    return (*_split_branch(block), Add("sum", "conv2", INPUT, "relu"))


@register_kind("basic-split-projected")
def _basic_split_projected(block: Block) -> tuple[Layer, ...]:
    return (*_split_branch(block), _shortcut(block), Add("sum", "conv2", "shortcut", "relu"))


@register_kind("global-pool")
def _global_pool(block: Block) -> tuple[Layer, ...]:
    return (GlobalPool("pool", INPUT),)
