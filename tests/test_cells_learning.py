"""The search over cells: two levels apart, exact gradients, resume, and the chain to an engine."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import SPAWN, read_metrics, write_images

from hwsearch import journal
from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, load_run
from hwsearch.data.images import load_images, normalise
from hwsearch.data.sources import open_source
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network
from hwsearch.kinds.cell import OPERATIONS
from hwsearch.learn.cells import run as cells_run
from hwsearch.learn.cells.discretise import alarm, skips
from hwsearch.learn.cells.learner import ArchitectureLearner
from hwsearch.learn.cells.options import CellOptions
from hwsearch.learn.cells.run import learn_cells
from hwsearch.learn.cells.session import CellSession
from hwsearch.learn.halves import Halves
from hwsearch.nn import calibrate
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.spaces import get_space
from hwsearch.spaces.genotype import CellFamily, random_genotype
from hwsearch.train import TrainOptions, train
from hwsearch.train.trainer import Trainer

IMAGES, BATCH, EPOCHS = 24, 4, 2
STEPS = IMAGES // 2 // BATCH * EPOCHS
SMALL = CellFamily(random_genotype(2, np.random.default_rng(0)), 8, (4,), ((2,), (2,), (1,)))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images, and a file of cells whose sizes a search takes."""
    folder = tmp_path_factory.mktemp("cells")
    SMALL.write(folder / "small.json")
    write_images(folder / "images", IMAGES)
    return folder


def small_options(inputs: Path, out: Path, **changes: object) -> CellOptions:
    fixed = {
        "data": str(inputs / "images"),
        "space": f"cells:{inputs / 'small.json'}",
        "out": out,
        "epochs": EPOCHS,
        "batch": BATCH,
        "projection_hidden": 16,
        "amp": "fp32",
        "threads": 1,
        "checkpoint_steps": 2,
        "log_steps": 1,
        "tensorboard": False,
    }
    return CellOptions(**(fixed | changes))  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    """A search that nothing befell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_run, "STEPS", 2)
        return learn_cells(small_options(inputs, tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture(autouse=True)
def cost_is_not_measured(finished, monkeypatch):
    monkeypatch.setattr(
        cells_run, "compare", lambda search, alone: {"time_ratio": 2.0, "memory_ratio": 2.0}
    )


@pytest.fixture
def options(inputs, tmp_path):
    return small_options(inputs, tmp_path / "run")


def test_the_architecture_is_no_weight_and_norms_of_mixtures_do_not_scale(options, monkeypatch):
    seen = []
    real = CellSession._step
    monkeypatch.setattr(CellSession, "_step", lambda s, v: (seen.append(s), real(s, v))[1])
    learn_cells(dataclasses.replace(options, epochs=1))
    session = seen[0]
    architecture = set(map(id, session._learner.architecture.parameters()))
    groups = session._trainer._optimiser.param_groups
    moved = {id(parameter) for group in groups for parameter in group["params"]}
    assert architecture and not architecture & moved
    assert not architecture & set(map(id, session._trainer.method.parameters()))
    held = [group["params"] for group in session._learner._adam.param_groups]
    assert {id(parameter) for group in held for parameter in group} == architecture
    frozen = [n for n, p in session._trainer.method.named_parameters() if id(p) not in moved]
    cells = [name for name in session._trainer.method.state_dict() if ".slots.stage" in name]
    assert frozen == [name for name in cells if name.endswith((".scale", ".shift"))]


def test_no_image_teaches_both_levels(inputs):
    source = open_source(str(inputs / "images"))
    halves = Halves(source, BATCH, seed=3)
    rows = np.concatenate([halves.rows(epoch) for epoch in range(5)])
    weights, architecture = set(rows[:, :BATCH].flat), set(rows[:, BATCH:].flat)
    assert not weights & architecture and len(weights) == len(architecture) == IMAGES // 2


def drift(monkeypatch) -> None:
    """Lets the architecture fall for skip connections, whatever the gradients say."""

    def step(self, gradients, *, at):
        with torch.no_grad():
            for name, value in self._parameters.items():
                if name.endswith("operations"):
                    value[:, OPERATIONS.index("skip")] += 1.0

    monkeypatch.setattr(ArchitectureLearner, "step", step)


def test_a_search_that_falls_for_skips_says_so_once_and_records_it(options, monkeypatch, capsys):
    drift(monkeypatch)
    learn_cells(options)
    told = capsys.readouterr().out
    text = "4 of 4 edges of the normal cell are skip connections, more than --skip-limit 2"
    assert told.count(f"step 3: {text}") == 1 and f"Beware: {text}" in told
    learned = json.loads((options.out / "learned.json").read_text())
    assert (learned["skips_normal"], learned["skip_limit"]) == (4, 2) and text in learned["alarm"]
    assert [row["skips_normal"] for row in read_metrics(options.out)][-1] == 4
    found = CellFamily.read(options.out / "genotype.json").genotype
    assert skips(found) == 4 and not alarm(found, 4)


def same_end(options: CellOptions, finished: Path) -> bool:
    names = (CHECKPOINT_NAME, "genotype.json")
    steps = [row["step"] for row in read_metrics(options.out)]
    return steps == list(range(1, STEPS + 1)) and all(
        (options.out / name).read_bytes() == (finished / name).read_bytes() for name in names
    )


def killed_in_a_write(options: CellOptions, writes: int) -> None:
    real, left = os.fsync, iter(range(writes))

    def fsync(file: int) -> None:
        part = Path(f"/proc/self/fd/{file}").readlink().suffix == ".part"
        if part and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    journal.os.fsync = fsync  # pyright: ignore[reportAttributeAccessIssue]
    learn_cells(options)


def stopped_by_a_signal(options: CellOptions) -> None:
    real = CellSession._step

    def step(self, views):
        if self._trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, views)

    CellSession._step = step  # pyright: ignore[reportAttributeAccessIssue]
    learn_cells(options)


def test_killed_inside_a_checkpoint_write_it_ends_with_the_same_bits(options, finished):
    process = SPAWN.Process(target=killed_in_a_write, args=(options, 2))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert Checkpoint.load(options.out).header.step == 2
    learn_cells(dataclasses.replace(options, resume=True))
    assert same_end(options, finished)


def test_a_signal_stops_between_steps_and_the_command_goes_on(options, finished):
    process = SPAWN.Process(target=stopped_by_a_signal, args=(options,))
    process.start()
    process.join()
    assert process.exitcode == 128 + signal.SIGTERM
    assert Checkpoint.load(options.out).header.step == 3
    assert not (options.out / "genotype.json").exists()
    learn_cells(dataclasses.replace(options, resume=True))
    assert same_end(options, finished)


def test_numbers_that_are_none_keep_the_last_checkpoint(options, monkeypatch):
    real = Trainer.run_step

    def run_step(self, views):
        if self.step == 3:
            next(self.method.parameters()).data.fill_(torch.nan)
        return real(self, views)

    monkeypatch.setattr(Trainer, "run_step", run_step)
    with pytest.raises(HwsearchError, match="not finite at step 3"):
        learn_cells(options)
    kept = Checkpoint.load(options.out)
    assert kept.header.step == 2
    assert all(value.isfinite().all() for value in kept.method.values())


def test_second_order_and_partial_channels_search_too(options):
    wide = dataclasses.replace(SMALL, widths=(8,))
    path = options.out.parent / "wide.json"
    wide.write(path)
    learn_cells(
        dataclasses.replace(
            options, space=f"cells:{path}", epochs=1, second_order=True, partial_channels=2
        )
    )
    learned = json.loads((options.out / "learned.json").read_text())
    assert "normal/2<0" in learned["shares"]


def test_from_search_to_an_engine_that_computes_the_same(finished, inputs, tmp_path):
    learned = json.loads((finished / "learned.json").read_text())
    assert learned["cost"]["time_ratio"] > 1 and learned["cost"]["memory_ratio"] > 1
    assert (
        (finished / "cells.png").stat().st_size > 10_000 < (finished / "shares.png").stat().st_size
    )
    space = f"cells:{finished / 'genotype.json'}[max]"
    assert get_space(space).lower(get_space(space).maximum)
    run = train(
        TrainOptions(
            data=str(inputs / "images"),
            space=space,
            out=tmp_path / "run",
            method="simclr",
            epochs=2,
            batch=8,
            projection_hidden=16,
            amp="fp32",
            threads=1,
            tensorboard=False,
        )
    )
    found = load_run(run)
    net = found.supernet().extract(found.space.maximum)
    images = normalise(load_images(open_source(str(inputs / "images")), 8).images)
    calibrate(net, [images])
    model = export_network(net, tmp_path / "net.onnx", batch=IMAGES)
    runtime = get_runtime("onnxruntime")
    engine = runtime.build(model, tmp_path / "engine", BuildOptions(precision="fp32"))
    with runtime.load(engine, LoadOptions(precision="fp32", threads=1)) as loaded:
        embedding = loaded.run({"image": images.numpy()})["embedding"]
    with torch.no_grad():
        expected = net(images).embedding.numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(embedding, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "basic-32[max]"}, "have no cells.*cell-32"),
        ({"space": "cell-32"}, "cells are learned in one.*cell-32.max."),
        ({"method": "moco-v2"}, "learned by simclr alone"),
        ({"partial_channels": 4}, "does not split 4 channels"),
        ({"second_order": True, "amp": "bf16"}, "--second-order takes small differences"),
        ({"second_order": True, "optimizer": "adamw"}, "--second-order looks one step of sgd"),
        ({"amp": "fp16"}, "--amp fp16 loses the gradients"),
        ({"monitor": "x"}, "--monitor means nothing to cells"),
        ({"architecture_start": 0.95}, "--architecture-start 0.95 is out of range"),
        ({"architecture_lr": 0.0}, "--architecture-lr 0.0 is out of range"),
    ],
)
def test_options_that_do_not_fit_are_refused(inputs, tmp_path, changes, message):
    with pytest.raises(HwsearchError, match=message):
        small_options(inputs, tmp_path / "run", **changes)


def test_a_search_is_no_run_of_a_space_and_goes_on_with_equal_options_only(finished, options):
    with pytest.raises(HwsearchError, match="unknown space 'search over the cells of"):
        load_run(finished)
    again = dataclasses.replace(options, out=finished, resume=True, architecture_lr=0.5)
    with pytest.raises(HwsearchError, match=r"started with other options \(architecture_lr"):
        learn_cells(again)
