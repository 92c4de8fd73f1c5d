"""A space so small that training it takes milliseconds a step; importing this registers it."""

from hwsearch.space import Space
from hwsearch.spaces import get_space, register_space
from hwsearch.spaces.bottleneck import BOTTLENECK
from hwsearch.spaces.staged import Stem, staged_space

NAME = "tiny-8"


@register_space(NAME, side=8)
def _build(name: str, side: int) -> Space:
    return staged_space(
        name,
        side,
        BOTTLENECK,
        Stem((4, 6), kernel=3, stride=1, pool=False),
        widths=((2, 4), (4, 6)),
        depths=((1, 2), (1, 2)),
        strides=(1, 2),
    )


TINY = get_space(NAME)
