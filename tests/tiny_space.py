"""A space so small that training it takes milliseconds a step; importing this registers it."""

from hwsearch.space import Space
from hwsearch.spaces import get_space, register_space
from hwsearch.spaces.bottleneck import bottleneck_space

NAME = "tiny-8"


@register_space(NAME)
def _build() -> Space:
    return bottleneck_space(
        NAME,
        8,
        stem_widths=(4, 6),
        widths=((2, 4), (4, 6)),
        depths=((1, 2), (1, 2)),
        strides=(1, 2),
        stem_kernel=3,
        stem_stride=1,
        stem_pool=False,
    )


TINY = get_space(NAME)
