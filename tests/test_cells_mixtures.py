"""What a search over cells computes: gradients of both orders, cells of shares, mixtures."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from hwsearch.errors import HwsearchError
from hwsearch.kinds.cell import OPERATIONS, Edge
from hwsearch.learn.cells.architecture import Architecture, Mix
from hwsearch.learn.cells.bilevel import first_order, second_order
from hwsearch.learn.cells.discretise import discretise
from hwsearch.learn.cells.learner import ArchitectureLearner
from hwsearch.learn.cells.network import MixedEdge, SearchNet
from hwsearch.nn import StaticNet
from hwsearch.spaces.cells import cell_space
from hwsearch.spaces.genotype import CellFamily, Genotype, random_genotype

IMAGES, BATCH, EPOCHS = 24, 4, 2

SMALL = CellFamily(random_genotype(2, np.random.default_rng(0)), 8, (4,), ((2,), (2,), (1,)))


def tiny_problem() -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Returns architecture, weights and momentum of a smooth problem of two levels."""
    rng = torch.Generator().manual_seed(0)
    drawn = [torch.randn(size, generator=rng, dtype=torch.float64) for size in (3, 4, 4)]
    a, w, momentum = drawn
    return [a.requires_grad_()], [w.requires_grad_()], momentum


def test_gradients_of_both_orders_are_those_of_brute_force():
    (a,), (w,), momentum = tiny_problem()
    mixed = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lr, decay = 0.1, 0.05

    def training(w: Tensor = w, a: Tensor = a) -> Tensor:
        return ((w - mixed @ a).tanh() ** 2).sum() + (w.sin() * a.sum()).sum()

    def held_out(w: Tensor = w, a: Tensor = a) -> Tensor:
        return ((w + 0.3 * mixed @ a.cos()) ** 2).sum() + (a**2).sum()

    def move(gradients: Sequence[Tensor]) -> list[Tensor]:
        return [lr * (gradients[0] + decay * w.detach() + 0.9 * momentum)]

    def after_a_step(value: Tensor) -> float:
        start = w.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(training(start, value), start)
        step = lr * (gradient + decay * start + 0.9 * momentum)
        return float(held_out((start - step).detach(), value))

    def numeric(function) -> list[float]:
        steps = 1e-5 * torch.eye(3, dtype=torch.float64)
        at = a.detach()
        return [(function(at + one) - function(at - one)) / 2e-5 for one in steps]

    before = w.detach().clone()
    (first,) = first_order([a], held_out)
    (second,) = second_order([a], [w], held_out, training, move=move, lr=lr)
    assert torch.equal(w, before)
    np.testing.assert_allclose(first, numeric(lambda v: float(held_out(w.detach(), v))), rtol=1e-6)
    np.testing.assert_allclose(second, numeric(after_a_step), rtol=1e-4)
    assert (first - second).abs().max() > 0.05  # the orders differ where it can be seen


@torch.no_grad()
def hand_made(*, weighs_edges: bool = False) -> Architecture:
    """An architecture of two nodes whose shares are what the test sets."""
    architecture = Architecture(2, weighs_edges=weighs_edges, seed=0)
    for value in architecture.parameters():
        value.zero_()
    return architecture


@torch.no_grad()
def set_share(architecture: Architecture, edge: int, operation: str, logit: float) -> None:
    for kind in ("normal", "reduction"):
        at = (edge, OPERATIONS.index(operation))
        architecture.get_parameter(f"{kind}_operations")[at] = logit


def test_nodes_keep_their_two_strongest_edges_and_never_none():
    architecture = hand_made()
    set_share(architecture, 0, "none", 9.0)  # node 2 from 0: little is left for the rest
    set_share(architecture, 0, "dilated-3", 2.0)
    set_share(architecture, 1, "skip", 1.0)
    set_share(architecture, 2, "max-pool-3", 3.0)  # node 3 from 0, 1 and 2
    set_share(architecture, 3, "separable-5", 0.5)
    set_share(architecture, 4, "mean-pool-3", 2.0)
    expected = (
        *(Edge(2, 0, "dilated-3"), Edge(2, 1, "skip")),
        *(Edge(3, 0, "max-pool-3"), Edge(3, 2, "mean-pool-3")),
    )
    assert discretise(architecture) == Genotype(expected, expected)
    weighed = hand_made(weighs_edges=True)
    weighed.load_state_dict(architecture.state_dict(), strict=False)
    with torch.no_grad():
        for kind in ("normal", "reduction"):
            weighed.get_parameter(f"{kind}_edges")[3] = 5.0  # 3 from 1 becomes the strongest
    kept = [(edge.source, edge.operation) for edge in discretise(weighed).normal if edge.node == 3]
    assert kept == [(0, "max-pool-3"), (1, "separable-5")]
    edges_E = weighed.mix("normal").edges_E.detach()
    assert [part.sum().item() for part in edges_E.split([2, 3])] == pytest.approx([1, 1])


def one_hot(architecture: Architecture, genotype: Genotype) -> dict[str, Mix]:
    """Returns the mixes that a genotype is the limit of."""
    found = {}
    for kind in ("normal", "reduction"):
        shares_EO = torch.zeros(len(architecture.edges), len(OPERATIONS))
        for node, source, operation in getattr(genotype, kind):
            at = architecture.edges.index((node, source))
            shares_EO[at, OPERATIONS.index(operation)] = 1.0
        found[kind] = Mix(shares_EO, torch.ones(len(architecture.edges)))
    return found


@torch.no_grad()
def test_a_mixture_of_one_operation_an_edge_is_the_found_network():
    """Pooling aside, which only mixtures follow by a norm."""
    rng, architecture = np.random.default_rng(4), Architecture(3, weighs_edges=False, seed=0)
    drawn = random_genotype(3, rng)
    genotype = Genotype(*(tuple(map(without_pool, part)) for part in dataclasses.astuple(drawn)))
    space = cell_space(CellFamily(genotype, 8, (4,), ((2,), (2,), (2,))), "cells")
    torch.manual_seed(0)
    net = SearchNet(space, 3, one_hot(architecture, genotype).__getitem__)
    alone = net_with_weights_of(net, space, architecture)
    images = torch.randn(8, *space.input_shape)
    expected = net(images, space.maximum).embedding
    torch.testing.assert_close(alone(images).embedding, expected, rtol=1e-4, atol=1e-4)


def without_pool(edge: Sequence) -> Edge:
    node, source, operation = edge
    return Edge(
        node, source, operation.replace("max-pool", "separable").replace("mean-pool", "dilated")
    )


def net_with_weights_of(net: SearchNet, space, architecture: Architecture) -> StaticNet:
    """Builds the found network with the weights of a search."""
    alone, state = StaticNet(space.lower(space.maximum)), net.state_dict()
    for static in alone.static_blocks:
        slot = static.block.slot.replace(".", "_")
        for name, value in static.named_parameters():
            layer, _, rest = name.partition(".")
            tensor = {"conv.weight": "weight_OIHW", "norm.weight": "scale", "norm.bias": "shift"}
            where = f"{layer}"
            if layer.startswith(("older", "newer")):
                where = f"{layer[:5]}.entry{layer[5:]}"
            elif layer.startswith("node"):
                node, _, edge = layer[4:].partition("_from")
                source, _, inner = edge.partition("_")
                kind, kernel, *part = (
                    inner.split("_")
                    if not inner.startswith("skip")
                    else ("skip", "", *inner.split("_")[1:])
                )
                operation = f"{kind}-{kernel}" if kernel else kind
                at = architecture.edges.index((int(node), int(source)))
                where = f"edges.{at}.operations.{operation}.{'_'.join(('edge', *part))}"
            value.copy_(state[f"slots.{slot}.{where}.{tensor[rest]}"])
    return alone


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_partial_channels_lose_no_channel(stride: int):
    torch.manual_seed(0)
    edge, x = MixedEdge(16, 8, stride, parts=4), torch.randn(4, 16, 8, 8)
    shares = torch.zeros(len(OPERATIONS))
    shares[OPERATIONS.index("skip")] = 1.0
    y = edge(x, shares)
    assert y.shape == (4, 16, 8 // stride, 8 // stride)
    computed = sum(value.shape[0] == 4 for n, value in edge.named_parameters() if "point" in n)
    assert computed > 0
    if stride == 1:
        assert torch.equal(torch.sort(y, dim=1).values, torch.sort(x, dim=1).values)
        assert torch.equal(y[:, :4], x[:, ::4])  # each next edge computes others


def test_a_gradient_that_is_no_number_moves_nothing():
    learner = ArchitectureLearner(hand_made(), lr=0.1, weight_decay=0.0)
    before = learner.state()
    gradients = [torch.full_like(value, torch.nan) for value in learner.parameters]
    with pytest.raises(HwsearchError, match="gradient of the architecture is not finite at step 7"):
        learner.step(gradients, at=7)
    assert learner.state() == before
