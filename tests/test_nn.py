"""Networks: the supernet equals the nets taken from it, and both equal their blocks' costs."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.nn import StaticNet, Supernet, calibrate
from hwsearch.space import total_macs, total_params
from hwsearch.spaces import get_space

SMALL = get_space("bottleneck-32")


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    torch.manual_seed(0)
    net = Supernet(SMALL)
    for name, value in net.named_parameters():
        if name.endswith("scale"):  # a zero scale would hide the residual branches
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return net


def subnets(count: int):
    rng = np.random.default_rng(0)
    return [SMALL.minimum, SMALL.maximum, *(SMALL.sample(rng) for _ in range(count))]


@pytest.mark.parametrize("subnet", subnets(6), ids=str)
def test_supernet_equals_the_extracted_net(supernet: Supernet, subnet):
    images = torch.randn(8, *SMALL.input_shape)
    shared, alone = supernet(images, subnet), supernet.extract(subnet)(images)
    torch.testing.assert_close(shared.embedding, alone.embedding, rtol=1e-4, atol=1e-5)
    for level, other in zip(shared.levels, alone.levels, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bottleneck-32", "bottleneck-224"])
def test_costs_of_blocks_equal_torchs_own_count(name: str):
    space = get_space(name)
    rng = np.random.default_rng(0)
    for subnet in (space.minimum, space.maximum, space.sample(rng)):
        with torch.device("meta"):
            net = StaticNet(space.lower(subnet)).eval()
            with FlopCounterMode(display=False) as counter:
                net(torch.empty(1, *space.input_shape))
        blocks = space.lower(subnet)
        assert counter.get_total_flops() == 2 * total_macs(blocks)
        assert sum(p.numel() for p in net.parameters()) == total_params(blocks)


def test_supernet_has_no_running_statistics(supernet: Supernet):
    assert not list(supernet.buffers())


def test_calibration_reproduces_batch_statistics_and_leaves_weights_alone(supernet: Supernet):
    images = torch.randn(64, *SMALL.input_shape)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    net = calibrate(supernet.extract(SMALL.minimum), images, batch=64)
    expected = supernet(images, SMALL.minimum).embedding
    torch.testing.assert_close(net(images).embedding, expected, rtol=2e-2, atol=2e-2)
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_every_supernet_weight_is_reached_by_the_maximum(supernet: Supernet):
    supernet.zero_grad()
    supernet(torch.randn(4, *SMALL.input_shape), SMALL.maximum).embedding.sum().backward()
    assert all(value.grad is not None for value in supernet.parameters())
