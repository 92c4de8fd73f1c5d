"""Bottleneck ResNets: DATA's search space (arXiv 2203.09041) and its small twins."""

from hwsearch.space import Space
from hwsearch.spaces.registry import register_space
from hwsearch.spaces.staged import Residual, Stem, staged_space

EXPANSION = 4

BOTTLENECK = Residual(
    kind="bottleneck",
    expansion=EXPANSION,
    sizes=lambda channels, width: (("in", channels), ("inner", width), ("out", EXPANSION * width)),
)


@register_space("bottleneck-224", side=224)
def _data_space(name: str, side: int) -> Space:
    return staged_space(
        name,
        side,
        BOTTLENECK,
        Stem((32, 48, 64), kernel=7, stride=2, pool=True),
        widths=((48, 64, 80), (96, 128, 160), (192, 256, 320), (384, 512, 640)),
        depths=((2, 3, 4), (2, 4, 6), tuple(range(5, 31, 2)), (2, 3, 4)),
        strides=(1, 2, 2, 2),
    )


@register_space("bottleneck-32", side=32)
def _for_32_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=1)


@register_space("bottleneck-64", side=64)
def _for_64_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=2)


def _twin(name: str, side: int, *, stem_stride: int) -> Space:
    return staged_space(
        name,
        side,
        BOTTLENECK,
        Stem((8, 12, 16), kernel=3, stride=stem_stride, pool=False),
        widths=((8, 12, 16), (16, 24, 32), (32, 48, 64), (64, 96, 128)),
        depths=((1, 2, 3), (1, 2, 3), (1, 2, 3, 4, 5), (1, 2)),
        strides=(2, 2, 2, 1),
    )
