"""The training recipe: each part of it does what it says, and all of them together resume."""

import dataclasses

import numpy as np
import pytest
import torch
from runs import small_options, write_images
from selfsup_steps import make_method as make_taught
from selfsup_steps import small_settings
from tiny_space import TINY

from hwsearch.checkpoint import CHECKPOINT_NAME, build_method
from hwsearch.errors import HwsearchError
from hwsearch.kinds import total_macs
from hwsearch.nn.supernet import recompute_activations
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.settings import DEFAULTS, LED_METHODS, PATH_METHODS
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.train import TrainOptions, hardware, train
from hwsearch.train.hardware import Hardware
from hwsearch.train.optimisers import default_lr, make_optimiser
from hwsearch.train.passes import Passes, PassSettings
from hwsearch.train.schedule import Schedule
from hwsearch.train.trainer import StepSettings, Trainer

BATCH = 8


def make_method(space: Space, name: str = "moco-v2", **changes: object):
    return build_method(space, name, small_settings(name, **changes), seed=0, residual_scale=1.0)


def gradients(method, space: Space, roles="max min random", **settings):
    """Returns gradients of one step on fixed images, by name, and what the passes came to."""
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, BATCH, *space.input_shape, generator=generator)
    middle = space.sample(np.random.default_rng(0))
    subnets = {"max": space.maximum, "min": space.minimum, "random": middle}
    networks = [(role, subnets[role]) for role in roles.split()]
    hardware = Hardware("cpu", "fp32", channels_last=False)
    passes = Passes(method, space, PassSettings(**settings), hardware, lambda loss: loss)
    found = passes.run(Views(query, key, torch.arange(BATCH), 0), networks)
    grads = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    return grads, found


def test_pieces_of_a_batch_add_up_to_the_whole_without_batch_norms():
    space = get_space("vit-32")
    whole, found = gradients(make_method(space, queue=0), space)
    pieces, found_in_pieces = gradients(make_method(space, queue=0), space, accumulate=4)
    assert found_in_pieces.losses == pytest.approx(found.losses, rel=1e-5)
    for name, gradient in whole.items():
        torch.testing.assert_close(pieces[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *[(name, {}) for name in (*DEFAULTS, "byol+relations", "simsiam+features")],
        *[(name, {"follow_start": 1.0}) for name in PATH_METHODS],
        ("simclr", {"max_target": True}),
    ],
)
def test_every_method_takes_pieces(name, changes):
    found = gradients(make_taught(name, **changes), TINY, accumulate=2)[1]
    assert all(np.isfinite(list(found.losses.values())))


@pytest.mark.parametrize("name", LED_METHODS)
def test_targets_of_its_own_shape_change_all_networks_but_the_largest(name):
    changes = {"queue": 0} if "queue" in DEFAULTS[name] else {}

    def losses(role: str, **settings: object) -> float:
        method = make_method(TINY, name, **changes)
        return gradients(method, TINY, role, **settings)[1].losses[role]

    assert losses("max", own_target=True) == losses("max")
    assert losses("min", own_target=True) != losses("min")
    both = gradients(make_method(TINY, name, **changes), TINY, "max min", own_target=True)[1]
    assert both.losses["min"] == pytest.approx(losses("min", own_target=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "simclr", "queue": None}, "--own-target means nothing to method 'simclr'"),
        ({"queue": None}, "--own-target has no use for a queue"),
        ({"teacher": "timm:resnet18"}, "--own-target and --teacher do not go together"),
    ],
)
def test_targets_of_its_own_shape_are_refused_where_they_mean_nothing(changes, words, tmp_path):
    given = {"method": "moco-v2", "queue": 0, "own_target": True} | changes
    with pytest.raises(HwsearchError, match=words):
        TrainOptions(data="sklearn:digits", space="bottleneck-32", out=tmp_path, **given)


def test_followers_of_the_maximum_leave_it_alone():
    alone, _ = gradients(make_method(TINY), TINY, "max min")
    followed, found = gradients(make_method(TINY), TINY, "max min", follow_max=1.0)
    assert 0 < found.losses["follow"] < 2
    same = {name: torch.equal(followed[name], gradient) for name, gradient in alone.items()}
    only_in_maximum = {name for name in same if "stage1_1" in name or "stage2_1" in name}
    assert only_in_maximum
    assert {name for name, equal in same.items() if equal} == only_in_maximum


def test_losses_are_weighted_by_size():
    single = [gradients(make_method(TINY), TINY, role)[0] for role in ("max", "min")]
    both, _ = gradients(make_method(TINY), TINY, "max min", loss_weights="macs")
    macs = [total_macs(TINY.lower(subnet)) for subnet in (TINY.maximum, TINY.minimum)]
    for name, gradient in both.items():
        parts = [one.get(name, torch.zeros_like(gradient)) for one in single]
        expected = sum(2 * m / sum(macs) * part for m, part in zip(macs, parts, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6, msg=name)


def test_recomputed_activations_give_equal_gradients():
    kept, _ = gradients(make_method(TINY), TINY)
    method = make_method(TINY)
    recompute_activations(method)
    again, _ = gradients(method, TINY)
    assert all(torch.equal(again[name], gradient) for name, gradient in kept.items())


def test_lars_equals_its_formula():
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=(3, 2)), np.zeros((2, 2)), rng.normal(size=3)]
    slopes = [[rng.normal(size=start.shape) for start in starts] for _ in range(3)]
    weights = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    optimiser = make_optimiser("lars", weights, weight_decay=0.1)
    moments = [np.zeros_like(start) for start in starts]
    for step, slope in enumerate(slopes):
        lr = 0.5 / (step + 1)
        for group in optimiser.param_groups:
            group["lr"] = lr
        for weight, gradient in zip(weights, slope, strict=True):
            weight.grad = torch.tensor(gradient)
        optimiser.step()
        for at, gradient in enumerate(slope):
            w, decay = starts[at], 0.1 if starts[at].ndim > 1 else 0.0
            size, rate = np.sqrt((w**2).sum()), 1.0
            if w.ndim > 1 and size > 0:
                rate = 0.001 * size / (np.sqrt((gradient**2).sum()) + decay * size)
            moments[at] = 0.9 * moments[at] + rate * (gradient + decay * w)
            starts[at] = w - lr * moments[at]
    for weight, expected in zip(weights, starts, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["simsiam", "byol"])
def test_when_the_learning_rate_has_fallen_to_0_only_simsiam_s_predictor_moves(name):
    method = make_method(TINY, name)
    schedule = Schedule(
        steps=9, lr=0.1, warmup_steps=2, random_subnets=0, sampling="choices", seed=0
    )
    settings = StepSettings(schedule, "sgd", weight_decay=0.0, clip_norm=None)
    trainer = Trainer(method, TINY, settings, Hardware("cpu", "fp32", channels_last=False))
    trainer.step = schedule.steps
    before = {n: p.detach().clone() for n, p in method.student.named_parameters()}
    query, key = torch.randn(2, BATCH, *TINY.input_shape)
    trainer.run_step(Views(query, key, torch.arange(BATCH), trainer.step))
    moved = {n for n, p in method.student.named_parameters() if not torch.equal(p, before[n])}
    assert {n.partition(".")[0] for n in moved} == ({"predictor"} if name == "simsiam" else set())


@pytest.fixture
def options(tmp_path):
    return small_options(
        write_images(tmp_path / "images", 24),
        tmp_path / "run",
        epochs=4,
        method="byol",
        optimizer="lars",
        clip_norm=1.0,
        accumulate=2,
        loss_weights="macs",
        follow_max=0.5,
        random_subnets=2,
        checkpoint_activations=True,
        predictor_hidden=16,
        checkpoint_steps=2,
    )


def test_a_run_with_the_whole_recipe_goes_on_bit_by_bit(options, tmp_path, monkeypatch):
    whole = train(options)
    broken = dataclasses.replace(options, out=tmp_path / "broken")
    run_step = Trainer.run_step

    def fail_once(self, views):
        if self.step == 5:
            monkeypatch.setattr(Trainer, "run_step", run_step)
            raise HwsearchError("the power failed")
        return run_step(self, views)

    monkeypatch.setattr(Trainer, "run_step", fail_once)
    with pytest.raises(HwsearchError, match="power"):
        train(broken)
    train(dataclasses.replace(broken, resume=True))
    files = [(run / CHECKPOINT_NAME).read_bytes() for run in (whole, broken.out)]
    assert files[0] == files[1]


def test_a_recipe_is_part_of_what_resuming_checks(options):
    train(options)
    other = dataclasses.replace(options, resume=True, follow_max=0.0, accumulate=1)
    with pytest.raises(HwsearchError, match=r"accumulate: 2, now 1; follow_max: 0\.5, now 0"):
        train(other)


@pytest.mark.parametrize(("space", "amp"), [("bottleneck-32", "bf16"), ("inverted-32", "fp32")])
def test_depthwise_convolutions_are_not_trained_in_bf16_by_itself(
    space, amp, tmp_path, monkeypatch
):
    monkeypatch.setattr(hardware, "fingerprint", lambda: {"isa": "avx2 avx512_bf16"})
    options = TrainOptions(data="sklearn:digits", space=space, out=tmp_path, device="cpu")
    assert hardware.choose_hardware(options).amp == amp
    asked = dataclasses.replace(options, amp="bf16")
    assert hardware.choose_hardware(asked).amp == "bf16"


def test_a_method_starts_from_the_learning_rate_of_its_paper():
    assert default_lr("moco-v2", "sgd", 256) == default_lr("byol", "sgd", 256) == 0.03
    assert default_lr("simsiam", "sgd", 512) == pytest.approx(0.1)
    assert default_lr("byol", "lars", 4096) == pytest.approx(3.2)
