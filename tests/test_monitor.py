"""What watches a training run: the kNN monitor, its pace, curves for TensorBoard."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import EPOCHS, STEPS, read_metrics, small_options, write_images
from tiny_space import NAME, TINY

from hwsearch.checkpoint import CHECKPOINT_NAME, build_method
from hwsearch.data import loader
from hwsearch.data.loader import Loader, LoaderOptions
from hwsearch.data.sources import open_source
from hwsearch.data.sources.digits import DigitsSource
from hwsearch.errors import HwsearchError
from hwsearch.nn.static import StaticNet
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.train import pace, train
from hwsearch.train.hardware import Hardware
from hwsearch.train.metrics import TENSORBOARD_NAME, Metrics
from hwsearch.train.monitor import Monitor
from hwsearch.train.pace import Pace
from hwsearch.train.trainer import Trainer

CPU = Hardware("cpu", "fp32", channels_last=False)


def write_shades(folder: Path, *shades: int) -> Path:
    """Writes ten flat images, a little noisy, for each shade: a class that anything can tell."""
    rng = np.random.default_rng(0)
    for shade in shades:
        (folder / str(shade)).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(shade, shade + 20, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(shade) / f"{index}.png")
    return folder


def make_monitor(source: str | Path, space: Space = TINY) -> Monitor:
    return Monitor(open_source(source), space, CPU, limit=100, seed=0, max_corrupt_share=0.01)


def test_judging_changes_nothing_and_tells_apart_what_differs(tmp_path):
    method = build_method(TINY, "moco-v2", MethodSettings(projection_hidden=16, queue=16), seed=0)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    random_state = torch.get_rng_state()
    found = make_monitor(write_shades(tmp_path / "shades", 0, 200)).judge(method)
    assert found == {"knn_max": 1.0, "knn_min": 1.0, "knn_random": 1.0}
    assert method.training and torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(v, before[name]) for name, v in method.state_dict().items())
    guessed = make_monitor(write_noise(tmp_path / "noise")).judge(method)
    assert max(guessed.values()) < 0.75


def test_each_network_is_judged_at_its_own_side(tmp_path, monkeypatch):
    space, seen, forward = get_space(f"{NAME}@6+8"), set(), StaticNet.forward

    def look(self, x):
        seen.add((self.lowered[0].in_side, x.shape[-1]))
        return forward(self, x)

    monkeypatch.setattr(StaticNet, "forward", look)
    method = build_method(space, "moco-v2", MethodSettings(projection_hidden=16, queue=16), seed=0)
    make_monitor(write_shades(tmp_path / "shades", 0, 200), space).judge(method)
    assert seen == {(6, 6), (8, 8)}


def write_noise(folder: Path) -> Path:
    """Writes two classes of images that nothing can tell apart."""
    for label in (0, 1):
        write_images(folder / str(label), seed=label)
    return folder


def interrupted_at(step):
    real = Trainer.run_step

    def run_step(self, views):
        if self.step == step:
            raise KeyboardInterrupt
        return real(self, views)

    return run_step


def test_a_monitored_run_is_the_same_run_also_when_resumed(tmp_path, monkeypatch):
    plain = small_options(write_images(tmp_path / "images"), tmp_path / "plain")
    shades = str(write_shades(tmp_path / "shades", 0, 200))
    watched = dataclasses.replace(
        plain, out=tmp_path / "watched", monitor=shades, monitor_epochs=2, checkpoint_steps=7
    )
    train(plain)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_step", interrupted_at(17))
        with pytest.raises(KeyboardInterrupt):
            train(watched)
    train(dataclasses.replace(watched, resume=True))
    ends = [(run.out / CHECKPOINT_NAME).read_bytes() for run in (plain, watched)]
    assert ends[0] == ends[1]
    rows = [row for row in read_metrics(watched.out) if "knn_max" in row]
    assert [(row["step"], row["epoch"]) for row in rows] == [
        (STEPS * epoch // EPOCHS, epoch - 1) for epoch in range(2, EPOCHS + 1, 2)
    ]
    others = [row for row in read_metrics(watched.out) if "knn_max" not in row]
    assert len(others) == STEPS
    assert all(1 <= row["effective_rank"] <= 8 for row in others)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: write_shades(folder, 0), "labelled images of two classes"),
        (write_images, "labelled images of two classes"),
        (lambda folder: write_images(folder / "cats", 4), "4 images are too few"),
    ],
)
def test_what_cannot_judge_is_refused_before_the_first_step(tmp_path, write, message):
    write(tmp_path / "set")
    with pytest.raises(HwsearchError, match=message):
        make_monitor(tmp_path / "set")


class SlowDigits(DigitsSource):
    """Digits as large as photos that take a while each."""

    def image(self, index: int) -> np.ndarray:
        time.sleep(0.001)
        return np.repeat(np.repeat(super().image(index), 4, axis=0), 4, axis=1)


def test_a_run_that_waits_for_images_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(pace, "STARVED_SECONDS", 0.0)
    monkeypatch.setattr(loader, "usable_cores", lambda: 6)
    options = LoaderOptions(batch=32, side=8, workers=0, cache_mb=0)
    slow = Loader(SlowDigits(), options)
    watch = Pace(slow)
    for _, _batch in zip(range(3), slow, strict=False):
        with watch.pause():
            time.sleep(0.2)
        figures = watch.lap()
        assert 0.5 < figures["waited_share"] <= 1
        assert figures["images_per_second"] <= figures["loader_images_per_second"] < 1000
    told = capsys.readouterr().out
    assert told.count("Training waits for images") == 1
    for remedy in ("--cache-mb 1 ", "--workers 6", "images stored smaller (8 pixels"):
        assert remedy in told


@pytest.mark.parametrize(
    ("cores", "processes", "gpu", "workers"),
    [
        (1, 1, False, 0),
        (2, 1, False, 0),
        (4, 1, False, 3),
        (64, 1, False, 16),
        (64, 8, False, 7),
        (2, 1, True, 2),
        (64, 8, True, 8),
        (4, 8, True, 1),
    ],
)
def test_workers_suit_the_cores_that_may_be_used(monkeypatch, cores, processes, gpu, workers):
    monkeypatch.setattr(loader, "usable_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    options = LoaderOptions(batch=32, side=8, cache_mb=0, gpu=gpu)
    assert Loader(DigitsSource(), options, world=2 * processes).workers == workers


def test_tensorboard_has_each_step_once_and_none_after_the_checkpoint(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = tmp_path / "metrics.jsonl"
    for step, last in ((0, 5), (3, 6)):  # a run that was killed at 5 goes on from 3
        with Metrics(path, tensorboard=True) as metrics:
            metrics.cut(step)
            for number in range(step + 1, last + 1):
                metrics.write({"step": number, "loss": last + number / 10})
    curves = events.EventAccumulator(str(tmp_path / TENSORBOARD_NAME)).Reload()
    points = [(point.step, point.value) for point in curves.Scalars("loss")]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert points == [(row["step"], pytest.approx(row["loss"])) for row in rows]
    assert [step for step, _ in points] == [1, 2, 3, 4, 5, 6]


def test_tensorboard_is_refused_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("hwsearch.train.recipe.tensorboard_is_installed", lambda: False)
    assert not small_options(tmp_path, tmp_path, tensorboard=None).writes_tensorboard()
    with pytest.raises(HwsearchError, match=r"pip install 'hwsearch\[tensorboard\]'"):
        small_options(tmp_path, tmp_path, tensorboard=True)
