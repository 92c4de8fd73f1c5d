"""Controls: each against a small computation of its own, all through one door."""

from typing import get_args

import numpy as np
import pytest
import torch
from runs import write_images
from test_distance import SPACE, make_run
from tiny_space import TINY
from torch import nn
from torch.nn import functional as F

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.distance import SupernetStudents, Teacher, load_target, open_judge
from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.distance.controls.naswot import agreement
from hwsearch.distance.controls.score import Falling
from hwsearch.distance.controls.spectrum import Spectrum, decay
from hwsearch.distance.controls.ssl_loss import SslLoss
from hwsearch.distance.controls.synflow import flow
from hwsearch.distance.controls.views import views_of
from hwsearch.distance.controls.zico import steadiness
from hwsearch.distance.kinds import Compared, Control, DistanceKind
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.keyed import KeyedMethod
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.spaces import get_space

SMALL = load_target("sklearn:digits", 32, limit=16)


@pytest.fixture(scope="module")
def run() -> Run:
    run = make_run()
    assert isinstance(run.method, KeyedMethod)
    run.method.queue.owners_K.fill_(0)  # as if training had filled it
    return run


@pytest.fixture(scope="module")
def students(run: Run) -> SupernetStudents:
    return SupernetStudents(run, SMALL)


@pytest.mark.parametrize("kind", get_args(DistanceKind))
def test_every_judge_gives_a_finite_number_that_does_not_change(
    students: SupernetStudents, kind: DistanceKind
):
    stages = (4,) if kind == "dense" else ()
    teacher = Teacher(students, SPACE.maximum)
    judges = [open_judge(kind, students, teacher, stages=stages) for _ in range(2)]
    subnets = [SPACE.minimum, SPACE.subnet(width1=8, depth3=2)]
    found = [[judge(subnet) for subnet in subnets] for judge in judges]
    assert np.isfinite(found).all()
    assert np.min(found) >= 0
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]
    held_out = kind == "regression"  # what it says of an image, it learned from others
    if not held_out and (kind in get_args(Compared) or kind == "random-weights"):
        assert judges[0](SPACE.maximum) == 0.0


def test_distances_and_controls_are_all_there_is():
    assert set(get_args(DistanceKind)) == {*get_args(Compared), *get_args(Control)}


@pytest.mark.parametrize(
    ("kind", "larger"),
    [
        ("parameters", SPACE.subnet(width4=96)),
        ("macs", SPACE.subnet(width1=12)),
        ("depth", SPACE.subnet(depth1=2)),
    ],
)
def test_larger_networks_are_preferred_by_sizes(students, kind, larger):
    judge = open_judge(kind, students, Teacher(students, SPACE.maximum))
    order = [SPACE.maximum, larger, SPACE.minimum]
    assert sorted(order, key=judge) == order
    code = SPACE.encode(larger)[None]
    expected = {
        "parameters": SPACE.params(code)[0] / SPACE.params(SPACE.encode(SPACE.maximum)[None])[0],
        "macs": SPACE.macs(code)[0] / SPACE.macs(SPACE.encode(SPACE.maximum)[None])[0],
        "depth": (len(SPACE.lower(SPACE.maximum)) - 1) / len(SPACE.lower(SPACE.maximum)),
    }
    assert judge(larger) == pytest.approx(np.exp(-expected[kind]))


def test_chance_follows_its_seed_only(students: SupernetStudents):
    teacher = Teacher(students, SPACE.maximum)
    found = [
        open_judge("random", students, teacher, seed=seed)(SPACE.minimum) for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_a_falling_score_keeps_its_order_whatever_its_sign():
    scores = {SPACE.minimum: -30.0, SPACE.subnet(depth1=1): 2.0, SPACE.maximum: 5.0}
    judge = Falling(scores.__getitem__, SPACE.maximum)
    assert sorted(scores, key=judge) == sorted(scores, key=scores.__getitem__, reverse=True)
    assert min(map(judge, scores)) > 0
    assert Falling(lambda subnet: np.nan, SPACE.maximum)(SPACE.minimum) == np.inf


def test_naswot_counts_agreeing_activations():
    net, x = fresh_network(TINY, TINY.minimum, 0), torch.randn(5, 3, 8, 8)
    codes: list[torch.Tensor] = []
    with torch.no_grad():
        found = agreement(net, x)
    with _Recorded(codes), torch.no_grad():
        net(x)
    on = torch.cat([code.flatten(1) for code in codes], dim=1)
    expected = [[int((a == b).sum()) for b in on] for a in on]
    assert found.tolist() == expected
    assert found[0, 0] == on.shape[1]


class _Recorded(torch.overrides.TorchFunctionMode):
    def __init__(self, codes: list[torch.Tensor]) -> None:
        super().__init__()
        self._codes = codes

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func is F.relu:
            self._codes.append(found > 0)
        return found


def test_synflow_is_the_sum_over_paths():
    net = fresh_network(TINY, TINY.minimum, 0)
    weights = {n: p.detach().double().abs() for n, p in net.named_parameters()}
    x, total = torch.ones(1, 3, 8, 8, dtype=torch.float64), 0.0
    for name, weight in weights.items():  # R is linear in each weight tensor: w·∂R/∂w is a change
        if weight.dim() > 1:
            total += _through(net, weights, x) - _through(net, weights | {name: 0 * weight}, x)
    assert flow(net) == pytest.approx(total, rel=1e-6)


def _through(net: nn.Module, weights: dict[str, torch.Tensor], x: torch.Tensor) -> float:
    state = weights | {n: b.double() for n, b in net.named_buffers() if b.is_floating_point()}
    with torch.no_grad():
        return float(torch.func.functional_call(net.eval(), state, (x,)).embedding.sum())


def test_zico_weighs_mean_against_deviation():
    gradients = [
        [torch.tensor([1.0, -2.0]), torch.tensor([[4.0]])],
        [torch.tensor([-3.0, 2.0]), torch.tensor([[2.0]])],
    ]
    # |g| of the first weight is 1 and 3: mean 2, deviation 1; the second never changes.
    assert steadiness(gradients) == pytest.approx(np.log(2 / 1) + np.log(3 / 1))
    assert steadiness([gradients[0], gradients[0]]) == 0.0


def test_decay_finds_the_exponent_of_a_power_law():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(300, 40)) - 0)[0]
    basis = np.linalg.qr(basis - basis.mean(0))[0]
    values = np.arange(1, 41) ** -1.7
    features = basis * np.sqrt(values) @ np.linalg.qr(rng.normal(size=(40, 40)))[0]
    assert decay(features + 5) == pytest.approx(1.7, abs=1e-6)
    assert np.isnan(decay(np.ones((20, 4))))


def test_rank_of_features_that_use_few_directions(students: SupernetStudents, monkeypatch):
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.normal(size=(16, 6)))[0].astype(np.float32)
    monkeypatch.setattr(students, "embeddings", lambda subnet: orthogonal)
    assert Spectrum(students).rank(SPACE.minimum) == pytest.approx(6, rel=1e-4)


def test_ssl_loss_is_that_of_the_method(students: SupernetStudents):
    method = students.run.method
    assert isinstance(method, KeyedMethod)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    found = SslLoss(students, seed=3)(SPACE.minimum)
    (views,) = views_of(SMALL, 32, batch=16, seed=3)
    fresh = make_run().method
    fresh.load_state_dict(before)
    expected = fresh(views, fresh.targets(views), SPACE.minimum)["loss"].exp()
    assert found == pytest.approx(float(expected), rel=1e-6)
    assert not method.queue._waiting
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in before.items())


def test_foreign_images_are_a_control_by_another_set_of_images(run: Run, tmp_path):
    foreign = SupernetStudents(run, load_target(str(write_images(tmp_path / "noise", 16)), 32))
    own = SupernetStudents(run, SMALL)
    found = [
        open_judge("projection", students, Teacher(students, SPACE.maximum))(SPACE.minimum)
        for students in (own, foreign)
    ]
    assert min(found) > 0
    assert found[0] != found[1]


def test_a_queue_that_was_never_filled_is_refused():
    students = SupernetStudents(make_run(), SMALL)
    with pytest.raises(HwsearchError, match="--distance queue needs a run that has filled a queue"):
        open_judge("queue", students, Teacher(students, SPACE.maximum))


def test_a_loss_that_needs_an_absent_teacher_is_refused():
    settings = MethodSettings(projection_hidden=8, distil="features", teacher_width=4)
    method = build_method(TINY, "distil", settings, seed=0).requires_grad_(False)
    header = Header(TINY.name, "distil", settings, {}, step=0, steps=0, progress={})
    students = SupernetStudents(Run(make_run().path, TINY, method, header, "weights"), SMALL)
    with pytest.raises(HwsearchError, match="needs the external teacher"):
        open_judge("ssl-loss", students, Teacher(students, TINY.maximum))


@pytest.mark.parametrize("space", ["inverted-32", "vit-32"])
@pytest.mark.parametrize("kind", ["naswot", "synflow", "zico"])
def test_scores_at_initialisation_work_for_every_kind_of_block(space, kind):
    space = get_space(space)
    method = build_method(space, "simclr", MethodSettings(), seed=0).requires_grad_(False)
    header = Header(space.name, "simclr", MethodSettings(), {}, step=0, steps=0, progress={})
    students = SupernetStudents(Run(make_run().path, space, method, header, "weights"), SMALL)
    judge = open_judge(kind, students, Teacher(students, space.maximum))
    assert np.isfinite(judge(space.minimum))
