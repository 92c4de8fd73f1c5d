"""Blocks of plain vision transformers (arXiv 2010.11929), with norms before the branches."""

from hwsearch.block import Block
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import (
    INPUT,
    Add,
    Attention,
    Conv,
    GlobalPool,
    Layer,
    LayerNorm,
    Linear,
    Position,
    Tokens,
)


@register_kind("patches")
def _patches(block: Block) -> tuple[Layer, ...]:
    kernel, stride = block.kernel, block.stride
    conv = Conv("conv", INPUT, "in", "out", kernel, stride, "none", norm=False, pad=False)
    return (conv, Tokens("tokens", "conv"), Position("position", "tokens"))


@register_kind("transformer")
def _transformer(block: Block) -> tuple[Layer, ...]:
    return (
        LayerNorm("norm1", INPUT),
        Linear("query", "norm1", "in", "inner"),
        Linear("key", "norm1", "in", "inner"),
        Linear("value", "norm1", "in", "inner"),
        Attention("attention", "query", "key", "value", block.setting("heads")),
        Linear("project", "attention", "inner", "out"),
        Add("sum1", "project", INPUT),
        LayerNorm("norm2", "sum1"),
        Linear("expand", "norm2", "in", "hidden", "gelu"),
        Linear("contract", "expand", "hidden", "out"),
        Add("sum2", "contract", "sum1"),
    )


@register_kind("norm-pool")
def _norm_pool(block: Block) -> tuple[Layer, ...]:
    return (LayerNorm("norm", INPUT), GlobalPool("pool", "norm"))
