"""Blocks at a network's ends: preprocessing, and small heads for three tasks."""

from hwsearch.block import Block
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import INPUT, Conv, Layer, Preprocess, Upsample


@register_kind("preprocess")
def _preprocess(block: Block) -> tuple[Layer, ...]:
    return (Preprocess("image", INPUT, block.setting("side")),)


@register_kind("classifier")
def _classifier(block: Block) -> tuple[Layer, ...]:
    return (Conv("scores", INPUT, "in", "out", activation="none", norm=False),)


@register_kind("detection-level")
def _detection_level(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("tower", INPUT, "in", "inner", block.kernel),
        Conv("boxes", "tower", "inner", "out", activation="none", norm=False),
    )


@register_kind("segmentation")
def _segmentation(block: Block) -> tuple[Layer, ...]:
    return (
        Conv("tower", INPUT, "in", "inner", block.kernel),
        Conv("classes", "tower", "inner", "out", activation="none", norm=False),
        Upsample("mask", "classes", block.setting("side")),
    )
