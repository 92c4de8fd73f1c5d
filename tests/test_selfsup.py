"""Self-supervised methods: every registered one keeps the contract of a supernet's training."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from selfsup_steps import (
    BATCH,
    WIDTH,
    every_method,
    follow,
    make_method,
    make_views,
    small_settings,
    train_step,
)
from tiny_space import NAME, TINY
from torch.nn import functional as F

from hwsearch.checkpoint import Checkpoint, Header, Run, load_run
from hwsearch.distance import SupernetStudents, Teacher, TeacherDistance, load_target
from hwsearch.errors import HwsearchError
from hwsearch.nn import Supernet, calibrate
from hwsearch.selfsup.densecl import dense_info_nce
from hwsearch.selfsup.heads import Encoder
from hwsearch.selfsup.losses import info_nce, nt_xent
from hwsearch.selfsup.queue import KeyQueue
from hwsearch.selfsup.teacher import EmaTeacher

SIZES = (TINY.maximum, TINY.minimum)


def parts(method, kind):
    return [module for module in method.modules() if isinstance(module, kind)]


@every_method
def test_every_size_gets_a_loss_gradients_and_an_embedder(name):
    method, views = make_method(name), make_views()
    targets = method.targets(views)
    for subnet in SIZES:
        outputs = method(views, targets, subnet)
        outputs["loss"].backward()
        assert outputs["loss"].isfinite()
        assert 0.05 < outputs["embedding_std"] < 1.1
        assert len(outputs["embedding"]) == BATCH
        projections = method.embedder(subnet).eval()(views.query_BCHW)
        if method.encoder("online").has_head:
            assert projections.shape == (BATCH, WIDTH)
        torch.testing.assert_close(projections.norm(dim=1), torch.ones(BATCH))
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


@every_method
def test_no_method_keeps_running_statistics(name):
    assert not [key for key in make_method(name).state_dict() if "running" in key]


@every_method
@pytest.mark.parametrize("subnets", [1, 3])
def test_teacher_and_queue_move_once_a_step(name, subnets):
    method, views = make_method(name), make_views(1)
    train_step(method, make_views(0), [TINY.maximum])  # or teacher and student would be equal
    teachers = parts(method, EmaTeacher)
    before = copy.deepcopy([list(teacher.module.parameters()) for teacher in teachers])
    train_step(method, views, [TINY.maximum] * subnets)
    online = [p for p in method.parameters() if p.requires_grad]
    for teacher, olds in zip(teachers, before, strict=True):
        keep = teacher.decay_at(views.progress)
        for old, mine, new in zip(olds, teacher.module.parameters(), online, strict=False):
            torch.testing.assert_close(mine, keep * old + (1 - keep) * new)
    for queue in parts(method, KeyQueue):
        assert queue.owners_K.tolist() == [*range(2 * BATCH), *[-1] * BATCH]


@every_method
def test_targets_come_from_the_maximum_and_are_computed_once(name, monkeypatch):
    method, asked = make_method(name), []
    forward = Supernet.forward

    def spy(self, images, subnet):
        if not torch.is_grad_enabled():
            asked.append((subnet, len(images)))
        return forward(self, images, subnet)

    monkeypatch.setattr(Supernet, "forward", spy)
    for step in range(2):
        asked.clear()
        train_step(method, make_views(step), [TINY.minimum, TINY.maximum, TINY.minimum])
        assert {subnet for subnet, _ in asked} <= {TINY.maximum}
        views = {"simclr": 0, "distil": 0, "byol": 2, "simsiam": 2}.get(name.partition("+")[0], 1)
        assert sum(images for _, images in asked) == views * BATCH


@every_method
def test_targets_have_no_gradients(name):
    method = make_method(name)
    method.targets(make_views())
    assert all(p.grad is None for p in method.parameters())
    teachers = [p for teacher in parts(method, EmaTeacher) for p in teacher.parameters()]
    assert not any(p.requires_grad for p in teachers)


@pytest.mark.parametrize("name", ["densecl", "moco-v2", "simclr"])
def test_an_image_that_is_in_the_batch_twice_is_no_negative_of_itself(name):
    method, views = make_method(name, queue=0), make_views()
    losses = [
        method(told, method.targets(told), TINY.minimum)["loss"]
        for told in (views, replace(views, indices_B=views.indices_B.clamp(min=1)))
    ]
    assert losses[1] < losses[0]


@every_method
def test_older_keys_of_an_image_are_left_out(name):
    method = make_method(name)
    for step in range(3):  # the third batch holds the images of the first
        views = make_views(step)
        method.targets(views)
        if step < 2:
            method.after_step()
    expected = F.pad(torch.eye(BATCH, dtype=torch.bool), (0, 2 * BATCH))
    for queue in parts(method, KeyQueue):
        found = queue.others(torch.zeros(BATCH, WIDTH), views.indices_B)
        assert torch.equal(found.own_BK, expected)


@every_method
def test_a_subnet_projects_and_loses_like_the_network_taken_out_of_it(name):
    method, views = make_method(name), make_views()
    encoder, targets = method.encoder("online"), method.targets(views)
    for subnet in SIZES:
        expected = encoder(views.query_BCHW, subnet)
        torch.testing.assert_close(encoder.extract(subnet)(views.query_BCHW), expected)
    expected = method(views, targets, TINY.minimum)["loss"]
    static = encoder.supernet.extract(TINY.minimum)
    encoder.supernet.forward = lambda images, _: static(images)
    torch.testing.assert_close(method(views, targets, TINY.minimum)["loss"], expected)


@every_method
def test_a_calibrated_embedder_does_not_depend_on_the_batch_it_judges(name):
    images = make_views().query_BCHW
    for subnet in SIZES:
        embedder = calibrate(make_method(name).embedder(subnet), [images])
        whole = embedder(images)
        torch.testing.assert_close(torch.cat([embedder(part) for part in images.split(3)]), whole)
        torch.testing.assert_close(embedder(images.flip(0)), whole.flip(0))


@every_method
def test_projections_of_calibrated_features_do_not_depend_on_their_order(name):
    encoder, images = make_method(name).encoder("online"), make_views().query_BCHW
    net = calibrate(encoder.supernet.extract(TINY.minimum), [images])
    whole = encoder.project(net(images).embedding)
    torch.testing.assert_close(encoder.project(net(images.flip(0)).embedding), whole.flip(0))


@pytest.fixture(scope="module")
def digits():
    return load_target("sklearn:digits", 8, limit=24)


@every_method
def test_a_search_can_compare_what_was_trained_together(name, digits):
    method = make_method(name).requires_grad_(False)
    run = Run(Path("run"), TINY, method, None, name)  # pyright: ignore[reportArgumentType]
    students = SupernetStudents(run, digits)
    kind = "projection" if students.has_projections else "relation"
    distance = TeacherDistance(kind, students, Teacher(students, TINY.maximum))
    assert distance(TINY.maximum) == 0.0
    assert all(distance(subnet) > 1e-6 for subnet in TINY.neighbours(TINY.maximum))
    assert students.has_projections == (name != "distil+relations")


@every_method
def test_a_method_goes_on_bit_by_bit_where_its_checkpoint_stands(name, tmp_path):
    first, settings = make_method(name), small_settings(name)
    train_step(first, make_views(0), SIZES)
    header = Header(NAME, name.partition("+")[0], settings, {}, 1, 3, {})
    Checkpoint(header, first.state_dict(), {}).save(tmp_path)
    second = follow(load_run(tmp_path).method)
    for mine, other in zip(first.parameters(), second.parameters(), strict=True):
        other.requires_grad_(mine.requires_grad)
    for step in (1, 2):
        for method in (first, second):
            train_step(method, make_views(step), SIZES)
    state = second.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("name", ["simclr", "simsiam"])
def test_a_slow_average_that_is_not_kept_is_refused(name):
    with pytest.raises(HwsearchError, match=f"'{name}' keeps no slow average.*--weights online"):
        make_method(name).embedder(TINY.minimum, "ema")


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_each_view_predicts_the_other_one(name):
    method, views = make_method(name), make_views()
    encoder, predictor = method.encoder("online"), method.student.predictor
    teacher = method.teacher.module if name == "byol" else encoder
    cosines = []
    for seen, other in [(views.query_BCHW, views.key_BCHW), (views.key_BCHW, views.query_BCHW)]:
        features = encoder.supernet(seen, TINY.minimum).embedding
        prediction = predictor(encoder.projector(features))
        cosines.append(F.cosine_similarity(prediction, teacher(other, TINY.maximum)).mean())
    expected = 4 - 2 * sum(cosines) if name == "byol" else -sum(cosines) / 2
    found = method(views, method.targets(views), TINY.minimum)
    torch.testing.assert_close(found["loss"], expected)


@pytest.mark.parametrize("name", ["moco-v2", "ressl"])
def test_queries_are_of_the_query_view_and_in_order(name):
    method, views = make_method(name), make_views()
    queries = method.online(views.query_BCHW, TINY.minimum, 2)
    targets = method.targets(views)
    found = method(views, targets, TINY.minimum)["loss"]
    torch.testing.assert_close(found, method.compare(queries, targets))


def test_half_of_densecls_loss_is_of_images_and_half_of_positions():
    method, views = make_method("densecl"), replace(make_views(), progress=0.1)
    targets = method.targets(views)
    image_BD, position_BPD, _ = method.student(views.query_BCHW, TINY.minimum, 2)
    images = info_nce(image_BD, targets.image_BD, targets.other_images, 0.2)
    query = F.normalize(position_BPD, dim=-1)
    positions = dense_info_nce(query, targets.position_BPD, targets.other_positions, 0.2)
    found = method(views, targets, TINY.minimum)["loss"]
    torch.testing.assert_close(found, (images + positions) / 2)
    teacher = method.teacher.module
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(0))
    image_BD, position_BPD, _ = teacher(views.key_BCHW[order], TINY.maximum, 2)
    torch.testing.assert_close(targets.image_BD[order], image_BD)
    torch.testing.assert_close(targets.position_BPD[order], F.normalize(position_BPD, dim=-1))
    early = replace(views, progress=0.09)
    torch.testing.assert_close(method(early, targets, TINY.minimum)["loss"], images)


def test_simclr_can_take_the_maximum_for_its_target():
    method, views = make_method("simclr", max_target=True), make_views()
    targets = method.targets(views)
    keys = targets.both_2BD
    assert not keys.requires_grad
    torch.testing.assert_close(keys, method.online(views.both_2BCHW, TINY.maximum))
    anchors = method.online(views.both_2BCHW, TINY.minimum)
    expected = nt_xent(anchors, keys, views.indices_B, 0.1)
    torch.testing.assert_close(method(views, targets, TINY.minimum)["loss"], expected)


def test_keys_are_normalised_in_shuffled_groups():
    method, views = make_method("moco-v2"), make_views()
    keys = method.targets(views).keys_BD
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(0))
    teacher: Encoder = method.teacher.module
    for group in order.chunk(2):
        torch.testing.assert_close(keys[group], teacher(views.key_BCHW[group], TINY.maximum))
    assert not torch.allclose(keys, teacher(views.key_BCHW, TINY.maximum), atol=1e-3)


def test_a_teacher_slows_down_as_a_cosine():
    byol, moco = (make_method(name).teacher for name in ("byol", "moco-v2"))
    decays = [byol.decay_at(done) for done in (0.0, 0.5, 1.0)]
    assert decays == pytest.approx([0.996, 0.998, 1.0])
    assert moco.decay_at(0.0) == moco.decay_at(1.0) == 0.999
