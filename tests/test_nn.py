"""Networks: the supernet equals the nets taken from it, and both equal their blocks' costs."""

from functools import cache

import pytest
import torch
from every_space import every_space, runnable, some_subnets
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.kinds import total_macs, total_params
from hwsearch.nn import Features, StaticNet, Supernet, calibrate
from hwsearch.nn.convolution import Convolution
from hwsearch.nn.supernet import resized
from hwsearch.space import Space
from hwsearch.spaces import get_space

SMALL = get_space("bottleneck-32")


def lively(space: Space) -> Supernet:
    """Builds a supernet without zero scales, which would hide the residual branches."""
    torch.manual_seed(0)
    net = Supernet(space, residual_scale=1.0)
    for value in net.parameters():
        if value.dim() == 1:
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return net


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return lively(SMALL)


def assert_same(one: Features, other: Features) -> None:
    for name, output in one.outputs.items():
        assert_close(output, other.outputs[name])
    assert len(one.levels) == len(other.levels) > 0
    for level, twin in zip(one.levels, other.levels, strict=True):
        assert level.dim() == 4
        assert_close(level, twin)


def assert_close(one: Tensor, other: Tensor) -> None:
    """Compares within a part of the largest value: deep nets under batch norm of few images."""
    assert one.shape == other.shape
    assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())


@every_space
@torch.no_grad()
def test_supernet_equals_the_extracted_net(name: str):
    space = runnable(name)
    net = lively(space)
    images = torch.randn(4, *space.input_shape)
    for subnet in some_subnets(space, 2):
        assert_same(net(images, subnet), net.extract(subnet)(images))


@every_space
@torch.no_grad()
def test_supernet_equals_the_extracted_net_at_any_side(name: str):
    side = runnable(name).input_shape[1]
    space = get_space(f"{name.partition('@')[0]}@{side // 2}+{side}")
    net = lively(space)
    images = torch.randn(4, *space.input_shape)
    subnet = space.subnet(side=side // 2)
    assert_same(net(images, subnet), net.extract(subnet)(resized(images, side // 2)))


@every_space
def test_costs_of_blocks_equal_torchs_own_count(name: str):
    space = get_space(name)
    for subnet in some_subnets(space, 1):
        with torch.device("meta"), torch.no_grad():
            net = StaticNet(space.lower(subnet)).eval()
            with FlopCounterMode(display=False) as counter:
                net(torch.empty(1, *space.input_shape))
        blocks = space.lower(subnet)
        assert counter.get_total_flops() == 2 * total_macs(blocks)
        assert sum(p.numel() for p in net.parameters()) == total_params(blocks)


@cache
def weightless(name: str) -> Supernet:
    with torch.device("meta"):
        return Supernet(get_space(name))


@every_space
def test_supernet_holds_the_weights_of_its_maximum_and_no_running_statistics(name: str):
    net = weightless(name)
    held = sum(value.numel() for value in net.parameters())
    assert held == total_params(net.space.lower(net.space.maximum))
    assert not list(net.buffers())


def test_calibration_reproduces_batch_statistics_and_leaves_weights_alone(supernet: Supernet):
    images = torch.randn(64, *SMALL.input_shape)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    net = calibrate(supernet.extract(SMALL.minimum), images.split(64))
    expected = supernet(images, SMALL.minimum).embedding
    torch.testing.assert_close(net(images).embedding, expected, rtol=2e-2, atol=2e-2)
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_every_supernet_weight_is_reached_by_the_maximum(supernet: Supernet):
    supernet.zero_grad()
    supernet(torch.randn(4, *SMALL.input_shape), SMALL.maximum).embedding.sum().backward()
    assert all(value.grad is not None for value in supernet.parameters())


@pytest.mark.parametrize(("kernel", "channels"), [(1, 2), (1, 4), (1, 8), (1, 12), (1, 16), (3, 2)])
def test_gradients_of_strided_convolutions_of_few_channels_are_right(kernel: int, channels: int):
    torch.manual_seed(channels)
    conv = Convolution(channels, 8, kernel, stride=2, padding=kernel // 2)
    exact = torch.nn.Conv2d(channels, 8, kernel, stride=2, padding=kernel // 2).double()
    exact.load_state_dict(conv.state_dict())
    images = torch.randn(32, channels, 32, 32).contiguous(memory_format=torch.channels_last)
    for net, x in ((conv, images), (exact, images.double().contiguous())):
        net(x).square().sum().backward()
    for found, right in zip(conv.parameters(), exact.parameters(), strict=True):
        assert found.grad is not None and right.grad is not None
        assert_close(found.grad, right.grad.float())
