"""Basic-block ResNets: the class of ResNet-18 and ResNet-34 (arXiv 1512.03385)."""

from hwsearch.space import Space
from hwsearch.spaces.registry import register_space
from hwsearch.spaces.staged import Residual, Stem, staged_space

BASIC = Residual(
    kind="basic", expansion=1, sizes=lambda channels, width: (("in", channels), ("out", width))
)


@register_space("basic-224", side=224)
def _full_size(name: str, side: int) -> Space:
    return staged_space(
        name,
        side,
        BASIC,
        Stem((), kernel=7, stride=2, pool=True),
        widths=((32, 48, 64), (64, 96, 128), (128, 192, 256), (256, 384, 512)),
        depths=((1, 2, 3), (1, 2, 3, 4), (1, 2, 4, 6), (1, 2, 3)),
        strides=(1, 2, 2, 2),
    )


@register_space("basic-32", side=32)
def _for_32_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=1)


@register_space("basic-64", side=64)
def _for_64_pixels(name: str, side: int) -> Space:
    return _twin(name, side, stem_stride=2)


def _twin(name: str, side: int, *, stem_stride: int) -> Space:
    return staged_space(
        name,
        side,
        BASIC,
        Stem((), kernel=3, stride=stem_stride, pool=False),
        widths=((16, 24, 32), (24, 32, 48), (48, 64, 96), (64, 96, 128)),
        depths=((1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2)),
        strides=(2, 2, 2, 1),
    )
