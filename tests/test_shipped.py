"""Costs of many networks with head and preprocessing, against a walk over each."""

import numpy as np
import pytest

from hwsearch.heads import added_blocks, parse_ships
from hwsearch.kinds import cost_of, peak_elements, total_macs, total_params, total_weights
from hwsearch.shipped import Shipped
from hwsearch.spaces import get_space

SHIPS = [
    (),
    ("camera:48",),
    ("classifier:100",),
    ("detection:20", "camera:96"),
    ("segmentation:21",),
]


@pytest.mark.parametrize("ships", SHIPS)
@pytest.mark.parametrize("name", ["bottleneck-32", "bottleneck-32@24+32", "inverted-32"])
def test_costs_of_many_networks_are_those_of_a_walk(name: str, ships: tuple[str, ...]):
    space, extras = get_space(name), parse_ships(ships)
    shipped, rng = Shipped(space, extras), np.random.default_rng(0)
    subnets = [space.minimum, space.maximum, *(space.sample(rng) for _ in range(12))]
    codes = np.array([space.encode(subnet) for subnet in subnets])
    added = shipped.added(lambda block: cost_of(block).written_elements)(codes)
    for row, subnet in enumerate(subnets):
        own = blocks = space.lower(subnet)
        for extra in extras:
            blocks = extra.around(blocks)
        assert shipped.whole.macs(codes)[row] == total_macs(blocks)
        assert shipped.whole.params(codes)[row] == total_params(blocks)
        assert shipped.whole.weight_elements(codes)[row] == total_weights(blocks)
        assert shipped.peak_elements(codes)[row] == peak_elements(blocks)
        new = added_blocks(own, extras)
        assert added[row] == sum(cost_of(block).written_elements for block in new)
