"""What may befall a training run: signals, kills, full disks, bad images, bad numbers."""

import dataclasses
import multiprocessing
import os
import signal
import tarfile
from pathlib import Path

import pytest
import torch
from full_disk import files_limited_to
from moments import wait_for
from runs import SPAWN, STEPS, read_metrics, small_options, start, words_of, write_images

from hwsearch import journal
from hwsearch.arguments import parse_options
from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint
from hwsearch.errors import HwsearchError
from hwsearch.train import TrainOptions, train
from hwsearch.train.stop import StopRequest
from hwsearch.train.trainer import Trainer


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    """A run that nothing befell."""
    return train(small_options(images, tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def options(images, tmp_path):
    return small_options(images, tmp_path / "run")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def before_step(monkeypatch, step, act):
    """Lets something happen once, just before a step."""
    real = Trainer.run_step

    def run_step(self, views):
        if self.step == step:
            act(self)
        return real(self, views)

    monkeypatch.setattr(Trainer, "run_step", run_step)


def goes_on_to_the_same_end(options, finished):
    train(dataclasses.replace(options, resume=True))
    ends = [(run / CHECKPOINT_NAME).read_bytes() for run in (options.out, finished)]
    steps = [row["step"] for row in read_metrics(options.out)]
    return ends[0] == ends[1] and steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize(
    ("number", "changes"),
    [(signal.SIGTERM, {"workers": 2, "cache_mb": 0}), (signal.SIGINT, {})],
)
def test_a_signal_stops_between_steps(options, finished, tmp_path, number, changes):
    options = dataclasses.replace(options, **changes)
    log, metrics = tmp_path / "log", options.out / "metrics.jsonl"
    process = start(words_of(options), log)
    wait_for(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > 3)
    os.killpg(process.pid, number)
    process.join()
    assert process.exitcode == 128 + number
    step = Checkpoint.load(options.out).header.step
    assert f"Stopped by {number.name} after step {step} of {STEPS}" in log.read_text()
    assert "--resume" in log.read_text() and "Traceback" not in log.read_text()
    assert read_metrics(options.out)[-1]["step"] == step < STEPS
    assert goes_on_to_the_same_end(options, finished)


def test_a_second_signal_acts_at_once_unless_it_is_an_echo(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    # A shell makes what it starts in the background deaf to SIGINT.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stop.received is signal.SIGINT and stop.exit_code == 130
        monkeypatch.setattr("hwsearch.train.stop.ECHO_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, former)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_goes_on_with_other_versions_says_so(options, monkeypatch):
    config = options.out / "config.toml"
    with monkeypatch.context() as patch:
        before_step(patch, 7, spoil)
        with pytest.raises(HwsearchError, match="not finite"):
            train(options)
    (first,) = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert "torch 2." in first and "pillow" in first and "(cpu, fp32)" in first
    config.write_text(config.read_text().replace("torch 2.", "torch 1."))
    for _ in range(2):
        before_step(monkeypatch, 8, spoil)
        with pytest.raises(HwsearchError, match="not finite"):
            train(dataclasses.replace(options, resume=True))
    notes = [line for line in config.read_text().splitlines() if line.startswith("#")]
    note = f"# from step 5 on: {first.removeprefix('# ')}"
    assert notes[1:] == [note]
    assert options == parse_options(
        TrainOptions, ["--config", str(config)], prog="train", summary="", example=""
    )
    config.write_text("seed = 0\n")
    with pytest.raises(HwsearchError, match="not finite"):
        train(dataclasses.replace(options, resume=True))
    assert config.read_text() == f"seed = 0\n{note}\n"


def is_part(file):
    return Path(f"/proc/self/fd/{file}").readlink().suffix == ".part"


def killed_in_a_write(options, writes):
    """Trains until so many files were written but not yet renamed, then is gone."""
    real, left = os.fsync, iter(range(writes))

    def fsync(file):
        if next(left, None) is None and is_part(file):
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    journal.os.fsync = fsync  # pyright: ignore[reportAttributeAccessIssue]
    train(options)


def test_killed_inside_a_checkpoint_write_it_ends_with_the_same_bits(options, finished):
    process = SPAWN.Process(target=killed_in_a_write, args=(options, 12))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(options.out.glob(".*.part"))
    assert goes_on_to_the_same_end(options, finished)
    assert not list(options.out.glob(".*.part"))


def test_a_killed_worker_ends_the_run_in_one_line(options, finished, monkeypatch):
    options = dataclasses.replace(options, workers=2, cache_mb=0)
    with monkeypatch.context() as patch:
        before_step(patch, 7, lambda _: multiprocessing.active_children()[0].kill())
        with pytest.raises(HwsearchError, match=r"decodes images was killed.*--workers") as caught:
            train(options)
    assert "\n" not in str(caught.value)
    assert goes_on_to_the_same_end(options, finished)


@pytest.mark.parametrize(("limit", "file"), [(1200, "metrics.jsonl"), (20_000, CHECKPOINT_NAME)])
def test_a_full_disk_ends_the_run_in_one_line(options, finished, limit, file):
    with (
        files_limited_to(limit),
        pytest.raises(HwsearchError, match=rf"cannot write.*{file}.*Free some space.*--resume"),
    ):
        train(options)
    assert goes_on_to_the_same_end(options, finished)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(options, tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(HwsearchError, match=r"cannot write: File exists.*another --out"):
        train(options)


def test_input_that_is_refused_leaves_the_folder_free(options, capsys):
    for changes, message in [
        ({"batch": 48}, "--batch 40 or less"),
        ({"monitor": options.data}, "a monitor needs labelled images"),
    ]:
        with pytest.raises(HwsearchError, match=message):
            train(dataclasses.replace(options, **changes))
    train(options)
    assert "No checkpoint" not in capsys.readouterr().out


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.toml", "tables = ['a']", "of another command: tables"),
        ("config.toml", "tables = ", "cannot read the config file"),
        ("metrics.jsonl", "{}\n", "this log is of no run here"),
    ],
)
def test_files_of_something_else_are_left_alone(options, name, text, message, resume):
    file = options.out / name
    options.out.mkdir()
    file.write_text(text)
    refused = message if resume or name == "metrics.jsonl" else "holds a run already"
    with pytest.raises(HwsearchError, match=refused):
        train(dataclasses.replace(options, resume=resume))
    assert file.read_text() == text and list(options.out.iterdir()) == [file]


def test_a_full_disk_under_tensorboard_ends_the_run_in_one_line(options):
    pytest.importorskip("tensorboard")
    with files_limited_to(2000), pytest.raises(HwsearchError, match=r"cannot write.*Free some"):
        train(dataclasses.replace(options, tensorboard=True, checkpoint_steps=99, log_steps=2))


def spoil(trainer):
    next(trainer.method.encoder("online").parameters()).data.fill_(torch.nan)


def test_a_loss_that_is_not_a_number_keeps_the_last_checkpoint(options, monkeypatch):
    before_step(monkeypatch, 12, spoil)
    with pytest.raises(HwsearchError, match=r"the loss \(max nan.*not finite at step 12"):
        train(options)
    kept = Checkpoint.load(options.out)
    assert kept.header.step == 10
    assert all(value.isfinite().all() for value in kept.method.values())


def test_weights_that_are_not_numbers_are_not_saved(options, monkeypatch):
    monkeypatch.setattr(
        Trainer, "_update", lambda self, lr: spoil(self) if self.step == 9 else None
    )
    quiet = dataclasses.replace(options, log_steps=99)
    with pytest.raises(HwsearchError, match=r"weights, which are not saved, .*at step 9"):
        train(quiet)
    assert Checkpoint.load(options.out).header.step == 5


def test_non_images_in_a_class_folder_are_named_or_stop_the_run(options, tmp_path, capsys):
    cats = write_images(tmp_path / "pets" / "cats")
    (cats / "notes.txt").write_text("not meant to be read")
    (cats / "link.png").symlink_to("nowhere.png")
    (cats / "text.jpg").write_text("text")
    pets = dataclasses.replace(options, data=str(tmp_path / "pets"))
    with pytest.raises(HwsearchError, match=r"cats/\w+\.\w+.*--max-corrupt-share") as caught:
        train(pets)
    assert "\n" not in str(caught.value) and "notes.txt" not in str(caught.value)
    train(dataclasses.replace(pets, max_corrupt_share=0.05, resume=True))
    told = capsys.readouterr().out
    assert "No checkpoint" in told and "yet: starting at step 0" in told
    assert "cats/text.jpg: not an image" in told and "cats/link.png: No such file" in told


def write_shards(images, folder):
    folder.mkdir()
    files = sorted(images.iterdir())
    for number, share in enumerate((files[:20], files[20:])):
        with tarfile.open(folder / f"t-{number}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for file in share:
                tar.add(file, file.name)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_vanishes_stops_the_run_in_one_line(
    images, options, tmp_path, monkeypatch, workers
):
    shards = write_shards(images, tmp_path / "shards")
    sharded = dataclasses.replace(options, data=str(shards), cache_mb=0, workers=workers)
    second = shards / "t-1.tar"
    with monkeypatch.context() as patch:
        before_step(patch, 7, lambda _: second.rename(tmp_path / "away.tar"))
        with pytest.raises(HwsearchError, match=r"images cannot be read.*t-1\.tar/.*No such file"):
            train(sharded)
    again = dataclasses.replace(sharded, resume=True)
    with pytest.raises(HwsearchError, match=r"options \(images: .* what was in --data then, or"):
        train(again)
    (tmp_path / "away.tar").rename(second)
    train(again)
    assert Checkpoint.load(options.out).header.step == STEPS


def test_damaged_bytes_of_a_shard_are_counted_as_corrupt_images(images, options, tmp_path, capsys):
    shards = write_shards(images, tmp_path / "shards")
    with (shards / "t-0.tar").open("r+b") as file:
        file.seek(512 + 20)
        file.write(bytes(100))
    sharded = dataclasses.replace(options, data=str(shards), max_corrupt_share=0.03)
    train(sharded)
    assert "Left out corrupt image t-0.tar/00" in capsys.readouterr().out
