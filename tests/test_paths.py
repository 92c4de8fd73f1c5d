"""Paths: groups of channels of their own, in every convolutional family."""

from itertools import product

import numpy as np
import pytest
import torch

from hwsearch.errors import HwsearchError
from hwsearch.kinds import layers_of
from hwsearch.nn import Supernet
from hwsearch.spaces import get_space
from hwsearch.spaces.paths import ALL, path_dims

FAMILIES = ("basic-32", "bottleneck-32", "inverted-32")

each_family = pytest.mark.parametrize("family", FAMILIES)


def along(space, *path, **values):
    names = [dim.name for dim in path_dims(space)]
    return space.subnet(**dict(zip(names, path, strict=True)), **values)


@each_family
def test_a_path_in_the_supernet_equals_the_extracted_net(family):
    space, rng = get_space(f"{family}^4"), np.random.default_rng(0)
    supernet = Supernet(space, residual_scale=1.0)
    x_BCHW = torch.randn(4, 3, 32, 32)
    subnets = [space.maximum, space.minimum, along(space, *"0123"), space.sample(rng)]
    with torch.no_grad():
        for subnet in subnets:
            net = supernet.extract(subnet)
            assert torch.equal(net(x_BCHW).embedding, supernet(x_BCHW, subnet).embedding)


@each_family
def test_all_groups_together_are_the_family_as_it_was(family):
    plain, space = get_space(family), get_space(f"{family}^4")
    rng = np.random.default_rng(0)
    for subnet in [plain.sample(rng) for _ in range(20)]:
        whole = space.subnet(**subnet.as_dict())
        before, after = plain.encode(subnet)[None], space.encode(whole)[None]
        assert space.macs(after) == plain.macs(before)
        assert space.params(after) == plain.params(before)
    if family != "basic-32":  # whose blocks get another kind
        keys = [block.key for block in space.lower(space.maximum)]
        assert keys == [block.key for block in plain.lower(plain.maximum)]


def test_paths_differ_in_weights_but_not_in_cost():
    space = get_space("bottleneck-224^4")
    leaves = [along(space, *path) for path in product("0123", repeat=4)]
    assert len({space.lower(leaf) for leaf in leaves}) == 4**4 == 256
    assert len({tuple(block.key for block in space.lower(leaf)) for leaf in leaves}) == 1


@each_family
def test_a_path_trains_its_own_channels_and_the_shared_ones_only(family):
    space = get_space(f"{family}^2")
    supernet = Supernet(space, residual_scale=1.0)
    subnet = along(space, *"1111")
    supernet(torch.randn(4, 3, 32, 32), subnet).embedding.square().sum().backward()
    split = [block for block in space.lower(subnet) if block.ranges]
    assert split
    for block in split:
        shared = supernet.slots[block.slot.replace(".", "_")]
        (first, *_) = [
            layer for layer in layers_of(block) if getattr(layer, "channels_out", "") == "inner"
        ]
        gradient = shared.get_submodule(first.name).weight_OIHW.grad
        touched = gradient.flatten(1).abs().sum(1) > 0
        ((_, ((start, stop), (own_start, own_stop))),) = block.ranges
        assert start == 0 < stop < own_start
        assert touched[:stop].any() and touched[own_start:own_stop].any()
        assert not touched[stop:own_start].any() and not touched[own_stop:].any()


def test_the_blocks_of_a_path_do_not_depend_on_the_path_elsewhere():
    space = get_space("bottleneck-32^4")
    one, other = (space.lower(along(space, "0", "1", last, ALL)) for last in "23")
    changed = {block.slot.partition(".")[0] for block in {*one} ^ {*other}}
    assert changed == {"stage3"}


def test_paths_go_with_other_endings_of_a_name():
    space = get_space("basic-32@24+32^2~int8+fp32")
    assert [dim.name for dim in path_dims(space)] == ["path1", "path2", "path3", "path4"]
    assert get_space("basic-32^2[path1=1]").size == 1
    assert not path_dims(get_space("basic-32"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit-32^4", "no convolutions inside their blocks"),
        ("basic-32^1", "would have 1 groups"),
        ("basic-32^four", "cannot read the groups"),
        ("basik-32^4", "unknown space 'basik-32'"),
    ],
)
def test_what_cannot_have_paths_says_so(name, message):
    with pytest.raises(HwsearchError, match=message):
        get_space(name)
