"""Gates: their gradients against enumeration, what they come to, and what they warn of."""

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest
import torch
from tiny_space import TINY

from hwsearch.learn.alarms import alarms
from hwsearch.learn.choose import MARGIN, TOLERANCE, choose
from hwsearch.learn.control import AdditiveLoss
from hwsearch.learn.gates import Gates
from hwsearch.learn.learner import GateLearner, GateSettings
from hwsearch.learn.penalty import expected_excess
from hwsearch.space import Dim, Space

SMALL = replace(TINY, dims=(Dim("a", (1, 2, 3)), Dim("b", (1, 2))))
"""Six networks; nobody lowers them."""
WIDE = replace(TINY, dims=tuple(Dim(f"d{at}", (1, 2, 3)) for at in range(8)))
"""6,561 networks, likewise."""


class Law:
    """Latency with an interaction of the first and the last dimension."""

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        return 1 + codes @ np.linspace(0.3, 0.8, codes.shape[1]) + 0.5 * codes[:, 0] * codes[:, -1]


def some_gates(space: Space = SMALL, seed: int = 0) -> Gates:
    rng = np.random.default_rng(seed)
    return Gates(space, rng.normal(size=(len(space.dims), max(space.shape))))


def enumerated(gates: Gates, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the mean of values, in the order of all codes, and its gradient by the logits."""
    alpha = torch.tensor(gates.alpha_DM, requires_grad=True)
    shares = [alpha[at, :count].softmax(0) for at, count in enumerate(gates.space.shape)]
    mean = torch.zeros((), dtype=torch.float64)
    for code, value in zip(gates.space.all_codes(), values, strict=True):
        chance = torch.stack([p[int(c)] for p, c in zip(shares, code, strict=True)]).prod()
        mean = mean + chance * float(value)
    mean.backward()
    assert alpha.grad is not None
    return float(mean.detach()), alpha.grad.numpy()


def expectation(gates: Gates, estimate) -> np.ndarray:
    """Returns the mean of an estimate over every pair of networks that can be drawn."""
    codes = gates.space.all_codes()
    chances = np.exp(gates.log_probability(codes))
    assert chances.sum() == pytest.approx(1)
    pairs = product(range(len(codes)), repeat=2)
    return sum(chances[i] * chances[j] * estimate(codes[[i, j]], [i, j]) for i, j in pairs)


def test_the_gradient_of_drawn_losses_is_that_of_their_mean():
    gates, rng = some_gates(), np.random.default_rng(1)
    losses = rng.normal(size=SMALL.size)
    _, gradient = enumerated(gates, losses)
    plain = expectation(gates, lambda codes, at: gates.score_gradient(codes, losses[at]))
    assert np.allclose(plain, gradient)
    control = AdditiveLoss.empty(gates)
    for _ in range(5):
        control.learn(gates.draw(rng, 4), rng.normal(size=4))
    assert np.abs(control.values(gates)).max() > 0.05
    found = expectation(gates, lambda codes, at: control.gradient(gates, codes, losses[at]))
    assert np.allclose(found, gradient)


def test_what_is_known_of_choices_takes_the_noise_away():
    gates, rng = some_gates(), np.random.default_rng(1)
    losses = SMALL.all_codes() @ np.array([0.5, -0.2])
    control, drawn = AdditiveLoss.empty(gates), lambda: rng.integers(SMALL.size, size=4)
    for _ in range(300):
        at = drawn()
        control.learn(SMALL.all_codes()[at], losses[at] + rng.normal())  # as batches differ
    _, gradient = enumerated(gates, losses)
    codes = gates.draw(rng, 4)
    values = codes @ np.array([0.5, -0.2])
    assert np.allclose(control.gradient(gates, codes, values), gradient, atol=0.01)
    assert not np.allclose(gates.score_gradient(codes, values), gradient, atol=0.05)


def test_expected_latency_and_its_gradient_are_those_of_all_networks():
    gates, law = some_gates(TINY), Law()
    excess, gradient = enumerated(gates, law.mean_ms(TINY.all_codes()) / 2 - 1)
    rng = np.random.default_rng(0)
    found = [expected_excess(law, 2.0, gates, rng) for _ in range(20)]
    assert np.mean([one.excess for one in found]) == pytest.approx(excess, abs=0.003)
    assert np.allclose(np.mean([one.gradient_DM for one in found], 0), gradient, atol=0.004)
    assert np.allclose(found[0].gradient_DM, gradient, atol=0.02)


def test_entropy_and_its_gradient():
    gates = some_gates()
    alpha = torch.tensor(gates.alpha_DM, requires_grad=True)
    shares = [alpha[at, :count].softmax(0) for at, count in enumerate(SMALL.shape)]
    nats = torch.stack([-(p * p.log()).sum() for p in shares])
    nats.sum().backward()
    assert alpha.grad is not None
    assert np.allclose(gates.entropy_gradient(), alpha.grad.numpy())
    assert np.allclose(gates.entropy_D, nats.detach().numpy() / np.log([3, 2]))
    assert np.allclose(Gates.uniform(SMALL).entropy_D, 1)


def test_draws_follow_the_probabilities_and_the_likeliest_come_first():
    gates = some_gates(TINY)
    codes = gates.draw(np.random.default_rng(0), 20_000)
    shares = np.stack([(codes == choice).mean(0) for choice in range(2)], axis=1)
    assert np.allclose(shares, gates.p_DM, atol=0.015)
    every = TINY.all_codes()
    order = np.argsort(-gates.log_probability(every))
    assert np.array_equal(gates.likeliest(TINY.size), every[order])
    assert np.array_equal(gates.likeliest(5), every[order[:5]])
    assert np.array_equal(gates.mode, every[order[0]])


def test_the_most_probable_network_of_the_latency_is_chosen():
    gates, law = some_gates(WIDE), Law()
    codes = gates.likeliest(WIDE.size)
    for target in law.mean_ms(codes)[[0, 30, 900]]:
        off = np.abs(law.mean_ms(codes) / target - 1)
        first = int(np.flatnonzero(off <= MARGIN)[0])
        choice = choose(gates, law, target)
        assert choice.subnet == WIDE.decode(codes[first])
        assert (choice.measured, choice.fits) == (False, True)
        slow = choose(gates, law, target, {choice.subnet: 1.07 * target}.get)
        assert slow.subnet != choice.subnet
        near = choose(gates, law, target, {choice.subnet: 1.04 * target}.get)
        assert (near.subnet, near.measured, near.fits) == (choice.subnet, True, True)
    far = choose(gates, law, 100.0)
    assert not far.fits
    assert far.latency_ms == law.mean_ms(codes).max()


def test_a_latency_that_probable_networks_do_not_have_is_had_all_the_same(monkeypatch):
    gates, law = some_gates(WIDE), Law()
    monkeypatch.setattr("hwsearch.learn.choose.LIKELIEST", 20)
    for target in np.quantile(law.mean_ms(WIDE.all_codes()), [0.02, 0.5, 0.98]):
        choice = choose(gates, law, float(target))
        assert choice.fits
        assert abs(choice.latency_ms / target - 1) <= MARGIN


@pytest.mark.parametrize("target_ms", [3.0, 6.0])
def test_gates_find_a_network_among_the_best_of_the_latency(target_ms):
    """Losses have noise, and a part that does not add."""
    law, rng, steps, start = Law(), np.random.default_rng(0), 400, 100
    worth = rng.uniform(0.1, 0.5, len(WIDE.dims))

    def true_loss(codes: np.ndarray) -> np.ndarray:
        return -codes @ worth - 0.1 * codes[:, 1] * codes[:, 2]

    settings = GateSettings(target_ms, 4, start=start, steps=steps, lr=None, seed=0)
    learner = GateLearner(WIDE, law, settings)
    assert learner.learn(0, lambda codes: codes[:, 0]) is None
    figures = {}
    for step in range(start, steps):
        figures = learner.learn(
            step, lambda codes: true_loss(codes) + rng.normal() + rng.normal(0, 0.2, len(codes))
        )
    assert figures is not None
    assert figures["expected_ms"] == pytest.approx(target_ms, rel=TOLERANCE)
    assert figures["entropy"] < 0.6
    choice = choose(learner.gates, law, target_ms)
    assert choice.latency_ms == pytest.approx(target_ms, rel=TOLERANCE)
    codes = WIDE.all_codes()
    within = np.abs(law.mean_ms(codes) / target_ms - 1) <= TOLERANCE
    found = true_loss(WIDE.encode(choice.subnet)[None])[0]
    assert (true_loss(codes[within]) < found).mean() < 0.1


def test_a_learner_goes_on_to_the_bit():
    law, settings = Law(), GateSettings(2.0, 2, start=1, steps=20, lr=None, seed=3)

    def judge(codes: np.ndarray) -> np.ndarray:
        return np.sin(codes @ np.arange(1.0, 1 + codes.shape[1]))

    whole, first = (GateLearner(TINY, law, settings) for _ in range(2))
    for step in range(20):
        whole.learn(step, judge)
        if step < 9:
            first.learn(step, judge)
    second = GateLearner(TINY, law, settings)
    second.restore(first.state())
    for step in range(9, 20):
        assert np.array_equal(second.draw(step, 3), GateLearner.draw(second, step, 3))
        second.learn(step, judge)
    assert second.state() == whole.state()


@pytest.mark.parametrize(
    ("end", "expected_ms", "force", "told"),
    [
        ("min", 1.0, -0.5, ["fewest blocks", "smallest choice", "would take faster"]),
        ("min", 0.5, 1.0, ["fewest blocks", "smallest choice", "off the target"]),
        ("min", 1.0, 0.5, []),
        ("max", 1.5, 9.0, ["largest choice", "off the target"]),
        ("max", 1.0, 0.5, []),
        ("open", 1.0, 0.5, ["have not decided"]),
    ],
)
def test_what_is_wrong_is_said(end, expected_ms, force, told):
    signs = {"min": [9.0, 0.0], "max": [0.0, 9.0], "open": [0.0, 0.0]}
    gates = Gates(TINY, np.tile(signs[end], (len(TINY.dims), 1)))
    found = list(alarms(gates, expected_ms, 1.0, force))
    assert len(found) == len(told)
    for words, sentence in zip(told, found, strict=True):
        assert words in sentence


def test_choices_that_are_not_there_get_nothing():
    gates = some_gates()
    assert gates.p_DM[1, 2] == 0
    assert gates.log_p_DM[1, 2] == -inf
    assert gates.entropy_gradient()[1, 2] == 0
    assert gates.draw(np.random.default_rng(0), 1000)[:, 1].max() == 1
