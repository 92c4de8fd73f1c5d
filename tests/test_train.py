"""Training runs: what they write, how they resume, and what they refuse."""

import dataclasses
import random
import signal
import time

import pytest
import torch
from runs import BATCH, IMAGES, read_metrics, small_options, start, words_of, write_images
from tiny_space import NAME, TINY

from hwsearch.arguments import parse_options
from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, build_method, load_run
from hwsearch.data.sources import open_source
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.train import TrainOptions, loop, train, trainer
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.identity import header_of_training
from hwsearch.train.metrics import Metrics
from hwsearch.train.pace import FIGURES
from hwsearch.train.schedule import Schedule
from hwsearch.train.start import open_start
from hwsearch.train.trainer import StepSettings, Trainer

EPOCHS = 8
STEPS = IMAGES // BATCH * EPOCHS


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("made") / "images")


@pytest.fixture(scope="module")
def options(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return small_options(images, out, epochs=EPOCHS, checkpoint_steps=3)


@pytest.fixture(scope="module")
def finished(options):
    return train(options)


def test_a_run_says_what_it_did_and_can_be_used(options, finished):
    rows = read_metrics(finished)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert rows[-1]["epoch"] == EPOCHS - 1
    for row in rows:
        parts = row["loss_max"] + row["loss_min"] + row["loss_random"]
        assert row["loss"] == pytest.approx(parts)
        assert row["images_per_second"] > 0
    run = load_run(finished, space=NAME)
    assert (run.header.step, run.header.settings.queue) == (STEPS, 8)
    pictures = torch.randn(4, 3, 8, 8)
    online, ema = (run.embedder(TINY.minimum, weights)(pictures) for weights in ("online", "ema"))
    assert online.shape == (4, 128)
    assert not torch.equal(online, ema)


def test_config_reads_back_as_the_same_options(options, finished):
    words = ["--config", str(finished / "config.toml")]
    again = parse_options(TrainOptions, words, prog="train", summary="", example="")
    assert again == options


def test_killed_at_random_moments_it_ends_with_the_same_bits(options, finished, tmp_path):
    killed = dataclasses.replace(options, out=tmp_path / "killed", resume=True)
    log, rng = killed.out / "metrics.jsonl", random.Random(0)
    for kill in range(4):
        process = start(words_of(killed), tmp_path / "said")
        steps = rng.uniform(kill, kill + 1) * STEPS / 5
        while process.is_alive() and (not log.exists() or log.read_bytes().count(b"\n") < steps):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    process = start(words_of(killed), tmp_path / "said")
    process.join()
    assert process.exitcode == 0
    expected = (finished / CHECKPOINT_NAME).read_bytes()
    assert (killed.out / CHECKPOINT_NAME).read_bytes() == expected
    assert {file.name for file in killed.out.iterdir()} == {
        "config.toml",
        "metrics.jsonl",
        CHECKPOINT_NAME,
    }
    timeless = [
        [{**row, **dict.fromkeys(FIGURES)} for row in read_metrics(run)]
        for run in (killed.out, finished)
    ]
    assert timeless[0] == timeless[1]


def test_a_run_ends_at_its_last_step_within_an_epoch(options, tmp_path, monkeypatch):
    whole = loop.header_of_training
    monkeypatch.setattr(
        loop, "header_of_training", lambda *given: dataclasses.replace(whole(*given), steps=7)
    )
    run = train(dataclasses.replace(options, out=tmp_path / "short"))
    assert [row["step"] for row in read_metrics(run)] == list(range(1, 8))
    assert Checkpoint.load(run).header.step == 7 > IMAGES // BATCH


def test_metrics_are_cut_back_to_a_step_and_before_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [b'{"step":%d}\n' % step for step in range(1, 5)]
    for written, step, kept in [
        (lines, 3, 3),
        ([*lines[:2], b'{"st'], 9, 2),
        ([lines[0], b"\0\0\n", lines[2]], 9, 1),
    ]:
        path.write_bytes(b"".join(written))
        with Metrics(path) as metrics:
            metrics.cut(step)
            metrics.write({"step": 10})
        assert path.read_bytes() == b"".join([*lines[:kept], b'{"step":10}\n'])


def test_a_finished_run_is_left_alone_and_said(options, finished, capsys):
    before = (finished / CHECKPOINT_NAME).stat()
    train(dataclasses.replace(options, resume=True))
    assert "is finished" in capsys.readouterr().out
    assert (finished / CHECKPOINT_NAME).stat() == before


def test_a_used_folder_is_refused_without_resume(options, finished):
    with pytest.raises(HwsearchError, match=r"holds a run already.*--resume"):
        train(options)


def test_a_folder_in_use_is_refused(options, tmp_path):
    slow = dataclasses.replace(options, out=tmp_path / "run", epochs=10_000)
    process = start(words_of(slow), tmp_path / "log")
    while process.is_alive() and not (slow.out / CHECKPOINT_NAME).exists():
        time.sleep(0.05)
    with pytest.raises(HwsearchError, match="another hwsearch trains"):
        train(dataclasses.replace(slow, resume=True))
    process.kill()
    process.join()


def test_resuming_with_other_options_names_them(options, finished):
    other = dataclasses.replace(options, lr=0.5, seed=1, data="sklearn:digits", resume=True)
    with pytest.raises(HwsearchError, match=r"images: .*lr: 0\.00\d+, now 0\.5; .*seed: 0, now 1"):
        train(other)
    elsewhere = dataclasses.replace(options, amp="bf16", resume=True)
    with pytest.raises(HwsearchError, match=r"amp: fp32, now bf16.*--resume --amp fp32, or use"):
        train(elsewhere)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(options, tmp_path):
    wild = dataclasses.replace(options, out=tmp_path / "run", lr=1e30, warmup=0.0, log_steps=99)
    with pytest.raises(HwsearchError, match=r"not finite at step \d+.*rate .*e\+29.*--lr"):
        train(wild)
    if (wild.out / CHECKPOINT_NAME).exists():
        weights = Checkpoint.load(wild.out).method.values()
        assert all(value.isfinite().all() for value in weights)


SCHEDULE = Schedule(
    steps=100, lr=0.1, warmup_steps=10, random_subnets=1, sampling="choices", seed=0
)


def make_trainer(amp="fp32", **changes):
    method = build_method(TINY, "moco-v2", MethodSettings(projection_hidden=16, queue=16), seed=0)
    settings = StepSettings(schedule=SCHEDULE, optimizer="sgd", weight_decay=1e-4, clip_norm=None)
    settings = dataclasses.replace(settings, **changes)
    return Trainer(method, TINY, settings, Hardware("cpu", amp, channels_last=False))


def make_views(images_BCHW, step=0):
    return Views(images_BCHW, images_BCHW, torch.arange(len(images_BCHW)), step)


def test_collapse_stops_the_run(monkeypatch):
    monkeypatch.setattr(trainer, "COLLAPSED_STEPS", 2)
    alike = torch.ones(8, 3, 8, 8)
    collapsing = make_trainer()
    collapsing.run_step(make_views(alike))
    with pytest.raises(HwsearchError, match=r"effective rank 1\.0 .*training has collapsed"):
        collapsing.run_step(make_views(alike, 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"amp": "bf16"},
        {"clip_norm": 0.1},
        {"optimizer": "adamw"},
        {"schedule": dataclasses.replace(SCHEDULE, random_subnets=2)},
    ],
)
def test_a_step_moves_all_weights(changes):
    stepping = make_trainer(**changes)
    before = [p.clone() for p in stepping.method.online.parameters()]
    result = stepping.run_step(make_views(torch.randn(8, 3, 8, 8)))
    assert set(result.losses) == {"max", "min", "random"}
    assert result.lr == pytest.approx(0.01)
    moved = [
        not torch.equal(p, old)
        for p, old in zip(stepping.method.online.parameters(), before, strict=True)
    ]
    # Zero-initialised norms keep the first gradient away from the branches before them.
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_trainer_goes_on_where_another_stood(optimizer):
    batches = [make_views(torch.randn(8, 3, 8, 8), step) for step in range(3)]
    through, first, second = (make_trainer(optimizer=optimizer) for _ in range(3))
    for views in batches:
        through.run_step(views)
    for views in batches[:2]:
        first.run_step(views)
    second.method.load_state_dict(first.method.state_dict())
    second.restore(first.step, first.optimiser_state(), first.progress())
    second.run_step(batches[2])
    expected = through.method.state_dict()
    assert all(torch.equal(v, expected[name]) for name, v in second.method.state_dict().items())


def test_subnets_of_a_step_depend_on_seed_and_step_only():
    schedule = dataclasses.replace(SCHEDULE, random_subnets=3)
    first, again = (list(schedule.subnets_at(7, TINY)) for _ in range(2))
    assert first == again
    assert [role for role, _ in first] == ["max", "min", "random", "random", "random"]
    assert first[:2] == [("max", TINY.maximum), ("min", TINY.minimum)]
    assert first != list(schedule.subnets_at(8, TINY))


def test_learning_rate_rises_then_falls_to_zero():
    rates = [SCHEDULE.lr_at(step) for step in range(101)]
    assert rates[9] == rates[10] == pytest.approx(0.1)
    assert rates == [*sorted(rates[:10]), *sorted(rates[10:], reverse=True)]
    assert rates[100] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "bottlenek-32"}, "unknown space 'bottlenek-32'. Did you mean bottleneck-32"),
        ({"method": "moco-v3"}, "unknown method 'moco-v3'. Did you mean moco-v2"),
        ({"epochs": 0}, "--epochs 0 is out of range. Use 1 or more"),
        ({"lr": float("nan")}, "--lr nan is out of range"),
        ({"clip_norm": float("inf")}, "--clip-norm inf is out of range"),
        ({"crop_min": 1.5}, "--crop-min 1.5 is out of range. Use 1 or less"),
        ({"queue": 4}, "--queue 4 does not hold one batch of 8"),
        ({"space": f"{NAME}[max]", "follow_max": 1.0}, "means nothing to a space of one network"),
    ],
)
def test_options_are_checked_in_flag_words(options, changes, message):
    with pytest.raises(HwsearchError) as caught:
        dataclasses.replace(options, **changes)
    assert message in str(caught.value)


def test_a_batch_that_does_not_split_is_refused(options, tmp_path):
    odd = dataclasses.replace(options, out=tmp_path, batch=9)
    with pytest.raises(HwsearchError, match=r"--batch 9 does not split .*2 norm group.* 8\."):
        train(odd)


def test_a_run_that_goes_on_has_a_queue_of_its_own(images, tmp_path):
    whole = small_options(images, tmp_path / "whole", epochs=1, queue=24)
    on = dataclasses.replace(whole, warm_start=train(whole), queue=None)
    source = open_source(on.data)
    found = []
    for told in ({}, {"queue": 16}, {"queue": 0, "own_target": True}, {"batch": 16}):
        options = dataclasses.replace(on, **told)
        hardware, earlier = choose_hardware(options), open_start(options, source)
        header = header_of_training(options, source, hardware, None, earlier)
        found.append(header.settings.queue)
    assert found == [8, 16, 0, 16]
