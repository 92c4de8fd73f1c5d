"""Two real processes under torchrun: their gradients, and what the death of one leaves."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import together
import torch
from runs import read_metrics, small_options, words_of, write_images
from safetensors.torch import load_file
from sdr import make, path_options
from synthetic_device import SyntheticDevice
from tiny_space import NAME, TINY

from hwsearch.checkpoint import Checkpoint
from hwsearch.learn import LearnOptions, learn
from hwsearch.learn.trials import read_trials
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.keyed import KeyTargets
from hwsearch.selfsup.queue import OtherKeys
from hwsearch.train import train

TESTS, NEVER = Path(__file__).parent, 10**6


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(TESTS / "together.py"), *map(str, words)]
    paths = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("computed")
    done = torchrun("compute", folder)
    assert done.returncode == 0, done.stderr
    return {path.stem: load_file(path) for path in folder.iterdir()}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-6, msg=name)


@pytest.mark.parametrize("name", together.METHODS)
def test_synchronised_norms_make_two_processes_equal_to_one(computed, name):
    assert_close(computed[name], together.take_steps(together.make_trainer(name, "sync")))


def rank_by_rank_targets(trainer, views):
    """MoCo's keys where each process normalises its part of the shuffled images by itself."""
    generator = torch.Generator().manual_seed(views.step)
    order = torch.randperm(together.BATCH, generator=generator)
    keys = torch.empty(together.BATCH, trainer.method.settings.projection)
    for rank in range(2):
        part = order[rank::2]
        keys[part] = trainer.method.teacher.module(views.key_BCHW[part], trainer._space.maximum)
    return keys


def test_norms_per_rank_give_the_mean_of_gradients_computed_rank_by_rank(computed):
    trainer, views = together.make_trainer("moco-v2", "per-rank"), together.whole_views(0)
    method = trainer.method
    method.settings = replace(method.settings, norm_groups=1)
    keys = rank_by_rank_targets(trainer, views)
    for rank in range(2):
        own = Views(views.query_BCHW[rank::2], views.key_BCHW, views.indices_B[rank::2], 0)
        others = OtherKeys(method.queue.keys_KD, torch.zeros(8, 32, dtype=torch.bool))
        targets = KeyTargets(keys[rank::2], others)
        for _, subnet in together.networks(trainer):
            (method(own, targets, subnet)["loss"] / 2).backward()
    assert_close(computed["per-rank"], together.gradients(trainer))


@pytest.fixture
def options(tmp_path):
    images, alone = write_images(tmp_path / "images", 24), tmp_path / "alone"
    return small_options(images, alone, epochs=4, norm="sync", checkpoint_steps=2)


def test_a_killed_process_ends_all_and_one_process_goes_on(options, tmp_path):
    out = tmp_path / "together"
    died = torchrun(int(signal.SIGKILL), 5, "train", *words_of(replace(options, out=out)))
    assert died.returncode != 0
    told = [line for line in died.stderr.splitlines() if line.startswith("hwsearch: error")]
    assert len(told) == 1
    assert "process 0 of 2 lost another one" in told[0]
    assert "Traceback" not in died.stderr.partition(told[0])[0]
    assert Checkpoint.load(out).header.step == 4
    assert [row["step"] for row in read_metrics(out)] == [1, 2, 3, 4, 5]

    train(replace(options, out=out, resume=True))
    alone = train(options)
    rows, expected = map(read_metrics, (out, alone))
    assert [row["step"] for row in rows] == list(range(1, 13))
    for row, other in zip(rows, expected, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert_close(Checkpoint.load(out).method, Checkpoint.load(alone).method)


def test_a_signal_to_one_process_ends_all_after_a_checkpoint(options):
    done = torchrun(
        int(signal.SIGTERM), 5, "train", *words_of(replace(options, checkpoint_steps=99))
    )
    assert done.returncode != 0
    saved, *_ = done.stdout.partition("a process leaves")
    assert "Stopped by SIGTERM after step 6 of 12; the checkpoint is saved" in saved
    assert Checkpoint.load(options.out).header.step == 6


def test_two_processes_train_the_same_paths_as_one(tmp_path):
    whole = make(tmp_path)
    few = {"epochs": 2, "batch": 16, "lr": 1e-4, "norm": "sync"}
    alone = path_options(whole, tmp_path / "tree", tmp_path / "alone", **few)
    out = tmp_path / "together"
    done = torchrun(0, NEVER, "train", *words_of(replace(alone, out=out)))
    assert done.returncode == 0, done.stderr
    rows, expected = read_metrics(out), read_metrics(train(alone))
    assert [row["node"] for row in rows] == [row["node"] for row in expected]
    runs = (Checkpoint.load(run).method for run in (out, alone.out, whole.out))
    found, expected, before = map(_supernet, runs)
    # Rounding grows step by step: a node's images are much alike, and norms enlarge differences.
    assert (found - expected).norm() < 0.02 * (expected - before).norm()


def test_two_processes_learn_the_same_network_as_one(tmp_path):
    table = replace(SyntheticDevice(TINY).table(24), path=tmp_path / "here.jsonl")
    table.write()
    options = LearnOptions(
        data=str(write_images(tmp_path / "images", 32)),
        space=NAME,
        table=str(table.path),
        latency_ms=float(np.median([row.latency_ms for row in table.rows])),
        out=tmp_path / "alone",
        epochs=4,
        batch=8,
        projection_hidden=16,
        norm="sync",
        amp="fp32",
        threads=1,
        log_steps=1,
        finalists=2,
        confirm=False,
    )
    out = tmp_path / "together"
    done = torchrun(0, NEVER, "learn", *words_of(replace(options, out=out)))
    assert done.returncode == 0, done.stderr
    alone = learn(options)
    assert done.stdout.count("2 finalists after") == 1
    told, expected = (json.loads((run / "learned.json").read_text()) for run in (out, alone))
    assert told["subnet"] == expected["subnet"]
    found, expected = (read_trials(run, NAME) for run in (out, alone))
    assert [one.subnet for one in found] == [one.subnet for one in expected]
    losses = [one.loss for one in expected]
    assert [one.loss for one in found] == pytest.approx(losses, rel=1e-3)


def _supernet(method):
    prefix = "student.encoder.supernet."
    state = {n.removeprefix("method."): value for n, value in method.items()}
    return torch.cat([state[n].flatten() for n in sorted(state) if n.startswith(prefix)])
