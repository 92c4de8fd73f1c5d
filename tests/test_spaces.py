"""Spaces: exact counts, one walk, codes and back."""

import numpy as np
import pytest

from hwsearch.errors import HwsearchError
from hwsearch.space import Space, total_macs, total_params
from hwsearch.spaces import get_space, space_names

DATA = get_space("bottleneck-224")
R50 = DATA.subnet(
    stem=64, width1=64, width2=128, width3=256, width4=512, depth1=3, depth2=4, depth3=6, depth4=3
)
R101 = DATA.subnet(**{**R50.as_dict(), "depth3": 23})


@pytest.fixture(params=space_names())
def space(request: pytest.FixtureRequest) -> Space:
    return get_space(request.param)


def test_data_space_has_the_published_size():
    assert DATA.size == 85_293


@pytest.mark.parametrize(
    ("subnet", "giga_macs", "mega_params"),
    [
        (DATA.minimum, 1.67, 9.7),
        (DATA.maximum, 15.5, 84.8),
        (R50, 4.09, 23.5),
        (R101, 7.80, 42.5),
    ],
    ids=["min", "max", "resnet50", "resnet101"],
)
def test_data_space_has_the_published_costs(subnet, giga_macs, mega_params):
    blocks = DATA.lower(subnet)
    assert total_macs(blocks) / 1e9 == pytest.approx(
        giga_macs, abs=0.05 if giga_macs > 9 else 0.005
    )
    assert total_params(blocks) / 1e6 == pytest.approx(mega_params, abs=0.05)


def test_resnet50_is_off_the_grid_yet_has_blocks():
    assert len(DATA.lower(R50)) == 1 + 16 + 1
    with pytest.raises(HwsearchError, match="depth3=6 is off the grid"):
        DATA.encode(R50)


def test_codes_and_text_lead_back_to_the_subnet(space: Space):
    rng = np.random.default_rng(0)
    for subnet in (space.minimum, space.maximum, *(space.sample(rng) for _ in range(20))):
        assert space.decode(space.encode(subnet)) == subnet
        assert space.parse(str(subnet)) == subnet
        assert space.canonical(subnet) == subnet


def test_gathered_costs_equal_the_walk(space: Space):
    rng = np.random.default_rng(1)
    subnets = [space.sample(rng) for _ in range(50)]
    codes = np.stack([space.encode(subnet) for subnet in subnets])
    assert space.macs(codes).tolist() == [total_macs(space.lower(s)) for s in subnets]
    assert space.params(codes).tolist() == [total_params(space.lower(s)) for s in subnets]


def test_neighbours_are_one_step_away(space: Space):
    code = space.encode(space.minimum)
    steps = [np.abs(space.encode(near) - code).sum() for near in space.neighbours(space.minimum)]
    assert steps == [1] * len(space.dims)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth1=99", "depth1=99 is not possible"),
        ("depht1=1", "no dimension depht1"),
        ("nonsense", "cannot read the subnet"),
        ("{", "cannot read the subnet"),
    ],
)
def test_impossible_subnets_are_refused(text, message):
    with pytest.raises(HwsearchError, match=message):
        get_space("bottleneck-32").parse(text)


def test_unknown_space_names_the_nearest():
    with pytest.raises(HwsearchError, match="Did you mean bottleneck-"):
        get_space("botleneck-32")
