"""All registered spaces for parametrised tests; full-size ones take small images where they run."""

import numpy as np
import pytest

from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space, space_names

SMALL_SIDE = 64
"""Input side in pixels at which networks for 224 pixels are run."""

every_space = pytest.mark.parametrize("name", space_names())
"""Gives a test each registered name."""


def runnable(name: str) -> Space:
    """Returns a space by name, of a side that a test can afford to run."""
    return get_space(f"{name}@{SMALL_SIDE}" if name.endswith("-224") else name)


def some_subnets(space: Space, count: int) -> list[Subnet]:
    """Returns the ends of a space and some networks between."""
    rng = np.random.default_rng(0)
    return [space.minimum, space.maximum, *(space.sample(rng) for _ in range(count))]
