"""Self-supervised methods: every registered one keeps the contract, MoCo v2 its arithmetic."""

from dataclasses import replace

import pytest
import torch
from tiny_space import TINY as SPACE
from torch.nn import functional as F

from hwsearch.nn import Supernet
from hwsearch.selfsup import get_method, method_names
from hwsearch.selfsup.base import MethodSettings, Views
from hwsearch.selfsup.heads import PROJECTION, Encoder, Projector
from hwsearch.selfsup.losses import embedding_std, info_nce
from hwsearch.selfsup.moco_v2 import MocoV2
from hwsearch.selfsup.queue import KeyQueue

BATCH = 8
SETTINGS = MethodSettings(projection_hidden=16, queue=3 * BATCH)


def make_method(name: str = "moco-v2"):
    torch.manual_seed(0)
    return get_method(name)(Supernet(SPACE), SETTINGS)


def make_views(step: int = 0) -> Views:
    generator = torch.Generator().manual_seed(step + 100)
    query, key = (torch.randn(BATCH, 3, 8, 8, generator=generator) for _ in range(2))
    return Views(query, key, torch.arange(BATCH) + BATCH * (step % 2), step)


def train_step(method, views: Views, subnets) -> None:
    trained = [p for p in method.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    optimiser.zero_grad()
    targets = method.targets(views)
    for subnet in subnets:
        method(views, targets, subnet)["loss"].backward()
    optimiser.step()
    method.after_step()


@pytest.mark.parametrize("name", method_names())
def test_every_method_gives_a_loss_and_an_embedder_for_each_size(name):
    method = make_method(name)
    views = make_views()
    targets = method.targets(views)
    for subnet in (SPACE.maximum, SPACE.minimum):
        outputs = method(views, targets, subnet)
        outputs["loss"].backward()
        assert outputs["loss"].isfinite()
        projections = method.embedder(subnet).eval()(views.query_BCHW)
        assert projections.shape == (BATCH, PROJECTION)
        torch.testing.assert_close(projections.norm(dim=1), torch.ones(BATCH))
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", method_names())
def test_no_method_keeps_running_statistics(name):
    assert not [key for key in make_method(name).state_dict() if "running" in key]


def test_info_nce_equals_an_independent_computation_and_leaves_own_keys_out():
    query, key, negatives = (F.normalize(torch.randn(n, 5)) for n in (3, 3, 4))
    own = torch.zeros(3, 4, dtype=torch.bool)
    own[1, 2] = own[2, 0] = True
    losses = []
    for i in range(3):
        kept = [negatives[k] for k in range(4) if not own[i, k]]
        weights = torch.stack([(query[i] @ k / 0.2).exp() for k in [key[i], *kept]])
        losses.append(-(weights[0] / weights.sum()).log())
    loss = info_nce(query, key, negatives, own, 0.2)
    torch.testing.assert_close(loss, torch.stack(losses).mean(), rtol=0, atol=1e-5)


def test_embedding_std_is_one_for_random_directions_and_zero_after_collapse():
    directions = F.normalize(torch.randn(4096, PROJECTION))
    assert embedding_std(directions) == pytest.approx(1.0, abs=0.02)
    assert embedding_std(directions[:1].expand(64, -1)) == pytest.approx(0.0, abs=1e-4)


def test_projector_uses_the_first_columns():
    head = Projector(12, 16)
    embedding = torch.randn(BATCH, 8)
    padded = F.pad(embedding, (0, 4))
    torch.testing.assert_close(head(embedding), head(padded))
    torch.testing.assert_close(head.extract(8)(embedding), head(embedding))


def test_embedder_equals_the_encoder_under_the_same_batch_statistics():
    encoder = Encoder(Supernet(SPACE), 16)
    images = make_views().query_BCHW
    for subnet in (SPACE.maximum, SPACE.minimum):
        expected = encoder(images, subnet)
        torch.testing.assert_close(encoder.extract(subnet)(images), expected)


def test_queue_is_a_ring_that_knows_the_owners():
    queue = KeyQueue(6, 4)
    for first in (0, 4):
        indices = torch.arange(first, first + 4)
        queue.enqueue(torch.full((4, 4), float(first)), indices)
    assert queue.owners_K.tolist() == [6, 7, 2, 3, 4, 5]
    assert queue.keys_KD[:, 0].tolist() == [4, 4, 0, 0, 4, 4]


@pytest.mark.parametrize("subnets", [1, 3])
def test_moco_moves_teacher_and_queue_once_a_step(subnets):
    method = make_method()
    before = [p.clone() for p in method.teacher.module.parameters()]
    train_step(method, make_views(), [SPACE.maximum] * subnets)
    after = list(method.online.parameters())
    for old, teacher, online in zip(before, method.teacher.module.parameters(), after, strict=True):
        torch.testing.assert_close(teacher, 0.999 * old + 0.001 * online)
    assert method.queue.owners_K.tolist() == [*range(BATCH), *[-1] * 2 * BATCH]


def test_moco_calls_the_teacher_once_a_step_and_always_at_the_maximum():
    method, asked = make_method(), []
    method.teacher.module.register_forward_hook(lambda _, args, __: asked.append(args[1]))
    for step in range(2):
        train_step(method, make_views(step), [SPACE.minimum, SPACE.maximum, SPACE.minimum])
    assert asked == [SPACE.maximum, SPACE.maximum]


def test_moco_masks_older_keys_of_the_same_image():
    method = make_method()
    for step in range(3):  # the third batch holds the images of the first
        targets = method.targets(make_views(step))
        if step < 2:
            method.after_step()
    expected = F.pad(torch.eye(BATCH, dtype=torch.bool), (0, 2 * BATCH))
    assert torch.equal(targets.own_BK, expected)


def test_moco_without_a_queue_tells_a_key_from_the_rest_of_its_batch():
    torch.manual_seed(0)
    method = get_method("moco-v2")(Supernet(SPACE), replace(SETTINGS, queue=0))
    views = make_views()
    targets = method.targets(views)
    loss = method(views, targets, SPACE.minimum)["loss"]
    queries = method.online(views.query_BCHW, SPACE.minimum, SETTINGS.norm_groups)
    logits = queries @ targets.keys_BD.T / SETTINGS.temperature
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.arange(BATCH)))
    method.after_step()


def test_moco_keys_are_normalised_in_shuffled_groups():
    method = make_method()
    views = make_views()
    keys = method.targets(views).keys_BD
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(0))
    teacher: Encoder = method.teacher.module
    for group in order.chunk(SETTINGS.norm_groups):
        expected = teacher(views.key_BCHW[group], SPACE.maximum)
        torch.testing.assert_close(keys[group], expected)
    assert not torch.allclose(keys, teacher(views.key_BCHW, SPACE.maximum), atol=1e-3)


def test_moco_state_dict_restores_everything():
    torch.manual_seed(0)
    first, second = make_method(), MocoV2(Supernet(SPACE), SETTINGS)
    train_step(first, make_views(0), [SPACE.maximum])
    second.load_state_dict(first.state_dict())
    for method in (first, second):
        train_step(method, make_views(1), [SPACE.maximum, SPACE.minimum])
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
