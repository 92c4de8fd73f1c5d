"""Training of paths on clusters: turns, phases, what each step moves, and exact resuming."""

import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import read_metrics, start, words_of
from sdr import BATCH, SPACE, make, path_options, write_kinds
from torch.nn import functional

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, load_run
from hwsearch.clusters.files import read_clusters
from hwsearch.clusters.paths import path_of
from hwsearch.data.augment import augment
from hwsearch.data.sources import open_source
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.base import Views
from hwsearch.spaces import get_space
from hwsearch.train import session, train, trainer
from hwsearch.train.own_channels import OwnChannels
from hwsearch.train.pace import FIGURES
from hwsearch.train.passes import Passes
from hwsearch.train.phases import NodeOrder, PathSchedule, Turns, equal_phases
from hwsearch.train.start import open_start
from hwsearch.train.trainer import Trainer

TINY = get_space(SPACE)
STEPS = 80 // BATCH * 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sdr"))


@pytest.fixture(scope="module")
def options(whole):
    folder = whole.out.parent
    return path_options(whole, folder / "tree", folder / "paths", checkpoint_steps=3)


@pytest.fixture(scope="module")
def finished(options):
    return train(options)


@pytest.fixture(scope="module")
def clusters(whole):
    return read_clusters(whole.out.parent / "tree")


def order_of(whole, clusters, phases=(2, 2), batch=BATCH, **changes):
    turns = Turns(phases, batch, seed=0, **changes)
    return NodeOrder(open_source(whole.data), clusters, turns, TINY)


def test_each_step_has_images_of_its_own_node_only(whole, clusters):
    order = order_of(whole, clusters)
    nodes_NL = np.array(clusters.tree.leaves)[clusters.leaves_N]
    for epoch in range(4):
        level = 1 + epoch // 2
        for step, row in enumerate(order.rows(epoch)):
            node = order.node_at(epoch * order.steps_per_epoch + step)
            assert len(node) == level
            assert (nodes_NL[row, :level] == node).all()
            assert len(set(row)) == BATCH


def test_an_image_that_an_epoch_deals_again_looks_otherwise(options, tmp_path, monkeypatch):
    seen, again = [], []

    def look(images, indices, *, epoch, view, **named):
        seen.extend((epoch, int(index), view) for index in indices)
        again.append(view > 1)
        return augment(images, indices, epoch=epoch, view=view, **named)

    monkeypatch.setattr(session, "augment", look)
    train(replace(options, out=tmp_path / "paths"))
    assert len(set(seen)) == len(seen) == 2 * STEPS * BATCH
    assert 0 < sum(again) < len(again) / 2


def test_nodes_are_drawn_in_proportion_to_their_images(whole, clusters):
    uneven = replace(clusters, leaves_N=np.repeat([0, 1, 2, 3], [40, 20, 12, 8]))
    order = order_of(whole, uneven, phases=(100, 300))
    steps = order.steps_per_epoch
    drawn = [order.node_at(step) for step in range(100 * steps, 400 * steps)]
    shares = [drawn.count(leaf) / len(drawn) for leaf in clusters.tree.leaves]
    assert shares == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.03)


def test_shuffled_clusters_keep_their_sizes_and_not_their_images(whole, clusters):
    order, shuffled = (order_of(whole, clusters, shuffled=control) for control in (False, True))
    sizes = [[len(images) for images in one._members(2)] for one in (order, shuffled)]
    assert sizes[0] == sizes[1]
    members = zip(order._members(2), shuffled._members(2), strict=True)
    assert not any(set(mine) == set(others) for mine, others in members)


def test_phases_share_the_epochs_or_are_told(whole, clusters):
    assert equal_phases(7, 3) == (2, 2, 3)
    assert order_of(whole, clusters, phases=(0, 2)).level_at(0) == 2
    with pytest.raises(HwsearchError, match="fewer than the 3 levels"):
        equal_phases(2, 3)


def test_a_run_says_whose_turn_each_step_was(whole, options, finished):
    rows, run = read_metrics(finished), load_run(finished, space=SPACE)
    before = load_run(whole.out).header.steps
    assert [row["total_step"] for row in rows] == [before + step for step in range(1, STEPS + 1)]
    assert [row["phase"] for row in rows] == [1] * (STEPS // 2) + [2] * (STEPS // 2)
    assert {row["node"] for row in rows} == {"0", "1", "0.0", "0.1", "1.0", "1.1"}
    assert all(row["loss"] == row["loss_path"] + row["loss_lesson"] for row in rows)
    assert all(-1 <= row["loss_lesson"] < 0.9 for row in rows)
    assert (run.header.step, run.header.recipe["start_steps"]) == (STEPS, before)
    teacher = load_run(whole.out).supernet().state_dict()
    kept = run.method.teacher.supernet.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in teacher.items())


def test_killed_in_the_second_phase_it_ends_with_the_same_bits(options, finished, tmp_path):
    killed, rng = replace(options, out=tmp_path / "killed", resume=True), random.Random(0)
    log = killed.out / "metrics.jsonl"
    for steps in (STEPS // 4, STEPS * 3 // 4):
        process = start(words_of(killed), tmp_path / "said")
        while process.is_alive() and (not log.exists() or log.read_bytes().count(b"\n") < steps):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    train(killed)
    expected = (finished / CHECKPOINT_NAME).read_bytes()
    assert (killed.out / CHECKPOINT_NAME).read_bytes() == expected
    timeless = [
        [{**row, **dict.fromkeys(FIGURES)} for row in read_metrics(run)]
        for run in (killed.out, finished)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_path_leaves_the_channels_of_other_groups_as_they_are(
    options, tmp_path, monkeypatch, optimizer
):
    run_step, moved = Trainer.run_step, {True: 0, False: 0}

    def run_and_compare(self, views):
        before = {name: p.detach().clone() for name, p in self.method.named_parameters()}
        memory = {name: value.clone() for name, value in self.optimiser_state().items()}
        result = run_step(self, views)
        parts = self._own._parts(self._leader)
        for name, parameter in self.method.named_parameters():
            if parameter not in parts:
                continue
            changed, own = parameter.detach() != before[name], parts[parameter]
            assert not changed[~own].any(), name
            moved[True] += int(changed[own].sum())
            for key, value in self.optimiser_state().items():
                if key.endswith(f"/{name}") and value.shape == own.shape:
                    old = memory.get(key, torch.zeros_like(value))
                    assert torch.equal(value[~own], old[~own]), key
        return result

    monkeypatch.setattr(Trainer, "run_step", run_and_compare)
    train(replace(options, out=tmp_path / "paths", epochs=2, optimizer=optimizer))
    assert moved[True] > 1000


def test_own_channels_are_those_that_the_path_takes(finished):
    supernet = load_run(finished).supernet().requires_grad_(True)
    one, other = (path_of((group,), 1, TINY) for group in (0, 1))
    x_BCHW = torch.randn(4, 3, 8, 8)
    own = OwnChannels(supernet)._parts(one)
    assert own
    before = supernet(x_BCHW, one).embedding
    with torch.no_grad():
        for parameter, part in own.items():
            parameter[~part] += 1.0
    assert torch.equal(supernet(x_BCHW, one).embedding, before)
    with torch.no_grad():
        for parameter, part in own.items():
            parameter[~part] -= 1.0
    assert not torch.equal(supernet(x_BCHW, other).embedding, before)


@pytest.mark.parametrize("method", ["byol", "moco-v2"])
def test_other_methods_train_paths(tmp_path, method):
    whole = make(tmp_path, method)
    run = train(path_options(whole, tmp_path / "tree", tmp_path / "paths"))
    assert Checkpoint.load(run).header.settings.queue == 0
    assert all(np.isfinite(row["loss"]) for row in read_metrics(run))


def test_a_node_that_collapses_is_noticed_among_the_others(options, tmp_path, monkeypatch):
    run_step = Passes.run

    def collapse_one(self, views, networks):
        found = run_step(self, views, networks)
        spread = 0.0 if networks[0][1]["path1"] == "1" else found.embedding_std
        return replace(found, embedding_std=spread)

    monkeypatch.setattr(Passes, "run", collapse_one)
    monkeypatch.setattr(trainer, "COLLAPSED_STEPS", 8)
    monkeypatch.setattr(trainer, "FEWEST_COLLAPSED", 2)
    message = r"all images of node 1 have been nearly equal for 4 steps .*training has collapsed"
    with pytest.raises(HwsearchError, match=message):
        train(replace(options, out=tmp_path))


def test_paths_can_do_without_the_lesson(options, tmp_path):
    rows = read_metrics(train(replace(options, out=tmp_path, epochs=2, follow_start=0.0)))
    assert all("loss_lesson" not in row and row["loss"] == row["loss_path"] for row in rows)


def test_the_lesson_is_the_cosine_to_the_frozen_network_of_the_other_view(finished):
    method = load_run(finished).method
    subnet = path_of((1, 0), 2, TINY)
    query, key = torch.randn(2, BATCH, 3, 8, 8)
    views = Views(query, key, torch.arange(BATCH), step=0)
    found = method(views, method.targets(views, subnet), subnet)
    taught = [method.teacher(view, TINY.maximum) for view in (key, query)]
    told = [method.head(method.encoder("online")(view, subnet)) for view in (query, key)]
    cosine = (
        sum(functional.cosine_similarity(*pair).mean() for pair in zip(told, taught, strict=True))
        / 2
    )
    assert found["lesson"].item() == pytest.approx(-cosine.item(), abs=1e-5)
    own = method.method(views, method.method.targets(views, subnet), subnet)["loss"]
    assert found["loss"].item() == pytest.approx(own.item() - cosine.item(), abs=1e-5)


def test_without_a_tree_the_whole_network_is_trained_on_elsewhere(whole, tmp_path):
    images = write_kinds(tmp_path / "target", 6, seed=1)
    on = replace(whole, data=str(images), warm_start=whole.out, out=tmp_path / "on", epochs=1)
    rows = read_metrics(train(on))
    assert [row["total_step"] for row in rows] == [21, 22, 23]
    assert "phase" not in rows[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 24}, r"node \d\.\d of the tree has 19 images, too few for --batch 24"),
        ({"phases": (3,)}, "--phases says 1 numbers of epochs for a tree of 2 levels"),
        ({"phases": (3, 0)}, "the last of which needs one at least"),
        ({"epochs": 1}, "--epochs 1 are fewer than the 2 levels"),
        ({"data": "sklearn:digits"}, "the tree is of other images than"),
        ({"space": "tiny-8^3"}, r"--warm-start is of space 'tiny-8\^2\[max\]'"),
        ({"space": "tiny-8^2[max]"}, "no paths to choose from"),
        ({"method": "byol"}, "--warm-start was trained with --method simsiam, not byol"),
        ({"projection": 4}, "--warm-start was trained with another --projection"),
    ],
)
def test_what_does_not_fit_is_refused(options, tmp_path, changes, message):
    with pytest.raises(HwsearchError, match=message):
        train(replace(options, out=tmp_path / "refused", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clusters": None, "phases": (1, 1)}, "--phases, .* are for the paths of a tree"),
        ({"warm_start": None}, "--clusters needs the run whose features were clustered"),
        ({"method": "simclr", "predictor_hidden": None}, "no paths by --method simclr"),
        ({"follow_max": 1.0}, "--follow-max means nothing to paths"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, changes, message):
    with pytest.raises(HwsearchError, match=message):
        replace(options, **changes)


def test_the_tree_of_another_checkpoint_is_refused(whole, options, tmp_path):
    other = replace(whole, out=tmp_path / "other", seed=1)
    train(other)
    with pytest.raises(HwsearchError, match="features of another checkpoint than"):
        train(replace(options, warm_start=other.out, out=tmp_path / "paths"))


def test_shrunk_paths_stay_on_their_path_and_are_trained(options, tmp_path):
    run = train(replace(options, out=tmp_path / "run", shrink_paths=True, random_subnets=2))
    roles = [set(row) & {"loss_path", "loss_min", "loss_random"} for row in read_metrics(run)]
    assert all(len(one) == 3 for one in roles)
    order = open_start(replace(options, shrink_paths=True), open_source(options.data)).order
    schedule = PathSchedule(9, 0.1, 0, 2, "choices", 0, order=order, shrinks=True)
    for step in range(9):
        (_, path), *smaller = schedule.subnets_at(step, TINY)
        assert [role for role, _ in smaller] == ["min", "random", "random"]
        groups = {name: path[name] for name in ("path1", "path2")}
        assert all({n: one[n] for n in groups} == groups for _, one in smaller)
        assert smaller[0][1] == TINY.subnet(**(TINY.minimum.as_dict() | groups))
