"""Spaces: exact counts, one walk, codes and back."""

import numpy as np
import pytest
from every_space import every_space, some_subnets
from scipy.stats import kstest

from hwsearch.errors import HwsearchError
from hwsearch.kinds import total_macs, total_params
from hwsearch.latency.features import BlockTimes, NetworkFeatures, total_costs
from hwsearch.space import Space
from hwsearch.spaces import get_space

DATA = get_space("bottleneck-224")
R50 = DATA.subnet(
    stem=64, width1=64, width2=128, width3=256, width4=512, depth1=3, depth2=4, depth3=6, depth4=3
)
R101 = DATA.subnet(**{**R50.as_dict(), "depth3": 23})


def spaces_of(name: str) -> tuple[Space, Space]:
    """Returns a family at its own side, and with the side as a dimension."""
    side = get_space(name).input_shape[1]
    return get_space(name), get_space(f"{name}@{side // 2}+{side}")


def test_data_space_has_the_published_size():
    assert DATA.size == 85_293
    assert get_space("bottleneck-224@192+208+224+240+256").size == 426_465


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


@every_space
def test_a_network_alone_is_the_same_network(name: str):
    for whole in spaces_of(name):
        for network in some_subnets(whole, 2):
            alone = get_space(f"{whole.name}[{network}]")
            assert alone.size == 1
            assert alone.lower(alone.maximum) == alone.lower(alone.minimum) == whole.lower(network)


@every_space
def test_codes_and_text_lead_back_to_the_subnet(name: str):
    for space in spaces_of(name):
        for subnet in some_subnets(space, 20):
            assert space.decode(space.encode(subnet)) == subnet
            assert space.parse(str(subnet)) == subnet


@every_space
def test_canonical_form_is_the_same_network_and_its_own_representative(name: str):
    for space in spaces_of(name):
        for subnet in some_subnets(space, 20):
            canonical = space.canonical(subnet)
            assert space.canonical(canonical) == canonical
            assert space.lower(canonical) == space.lower(subnet)


@every_space
def test_gathered_costs_equal_the_walk(name: str):
    for space in spaces_of(name):
        subnets = some_subnets(space, 50)
        codes = np.stack([space.encode(subnet) for subnet in subnets])
        assert space.macs(codes).tolist() == [total_macs(space.lower(s)) for s in subnets]
        assert space.params(codes).tolist() == [total_params(space.lower(s)) for s in subnets]


@every_space
def test_gathered_features_equal_the_walk(name: str):
    for space in spaces_of(name):
        times = BlockTimes({}, np.arange(1, 8) / 1000)
        features = NetworkFeatures.tabulate(space, times)
        subnets = some_subnets(space, 10)
        gathered, scaled = features.of_codes(np.stack([space.encode(s) for s in subnets]))
        walked, alone = zip(*map(features.of_subnet, subnets), strict=True)
        np.testing.assert_allclose(gathered, np.concatenate(walked), rtol=1e-12)
        np.testing.assert_allclose(scaled, np.concatenate(alone), rtol=1e-9, atol=1e-9)
        costs = [total_costs(space.lower(subnet)) for subnet in subnets]
        np.testing.assert_allclose(gathered[:, 1:], costs, rtol=1e-12)


@every_space
def test_the_largest_network_has_the_most_macs_and_every_dimension_counts(name: str):
    for space in spaces_of(name):
        largest = space.encode(space.maximum)
        smaller = np.stack([largest - row for row in np.eye(len(largest), dtype=int)])
        macs = space.macs(np.vstack([largest, smaller]))
        assert (macs[1:] < macs[0]).all()


@every_space
def test_sampling_is_uniform_over_what_it_says(name: str):
    space, rng = get_space(name), np.random.default_rng(3)
    codes = np.stack([space.encode(space.sample(rng)) for _ in range(400)])
    for column, choices in enumerate(space.shape):
        counts = np.bincount(codes[:, column], minlength=choices)
        spread = np.sqrt(len(codes) / choices)
        assert np.abs(counts - len(codes) / choices).max() < 5 * spread
    low, high = space.macs(np.stack([space.encode(s) for s in (space.minimum, space.maximum)]))
    drawn = np.stack([space.encode(space.sample(rng, "macs")) for _ in range(400)])
    position = (space.macs(drawn) - low) / (high - low)
    assert kstest(position, "uniform").statistic < 0.1


@every_space
def test_neighbours_are_one_step_away(name: str):
    space = get_space(name)
    code = space.encode(space.minimum)
    steps = [np.abs(space.encode(near) - code).sum() for near in space.neighbours(space.minimum)]
    assert steps == [1] * len(space.dims)


def test_the_side_scales_the_maps_and_nothing_else():
    space = get_space("bottleneck-32@24+32")
    small, large = space.subnet(side=24), space.subnet(side=32)
    assert (space.input_side(small), space.input_side(large)) == (24, 32)
    assert space.lower(large) == get_space("bottleneck-32").lower(
        get_space("bottleneck-32").maximum
    )
    assert [block.slot for block in space.lower(small)] == [b.slot for b in space.lower(large)]
    assert total_params(space.lower(small)) == total_params(space.lower(large))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth1=99", "depth1=99 is not possible"),
        ("depth1=0", "depth1=0 is not possible"),
        ("depht1=1", "no dimension depht1"),
        ("nonsense", "cannot read the subnet"),
        ("{", "cannot read the subnet"),
        ("stem=8,stem=12", "cannot read the subnet 'stem=8,stem=12'. Write each name once"),
        ('{"stem": 8, "stem": 12}', "Write each name once"),
        ('{"stem":' * 100_000, "cannot read the subnet"),
    ],
)
def test_impossible_subnets_are_refused(text, message):
    with pytest.raises(HwsearchError, match=message):
        get_space("bottleneck-32").parse(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("botleneck-32", "Did you mean bottleneck-"),
        ("bottleneck-32@", "cannot read the input sides"),
        ("bottleneck-32@24,32", "cannot read the input sides"),
        ("bottleneck-32[depth1=99]", "depth1=99 is not possible"),
        ("bottleneck-32[smallest]", "cannot read the subnet"),
        ("basic-224@2", "cannot halve a 2×2 map"),
        ("basic-224@16+224", "stage 4 cannot halve a 1×1 map"),
    ],
)
def test_impossible_spaces_are_refused(name, message):
    with pytest.raises(HwsearchError, match=message):
        get_space(name)


def test_a_side_that_is_no_choice_is_refused():
    with pytest.raises(HwsearchError, match="unknown side '28'"):
        get_space("bottleneck-32@24+32").parse("side=28")
