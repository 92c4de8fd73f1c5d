"""Small training runs, here and as commands in processes of their own."""

import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_space import NAME

from hwsearch.cli import main
from hwsearch.train import TrainOptions
from hwsearch.train.recipe import RunOptions

IMAGES, BATCH, EPOCHS = 40, 8, 6
STEPS = IMAGES // BATCH * EPOCHS
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["hwsearch.learn.run"])


def write_images(folder: Path, count: int = IMAGES, *, seed: int = 0) -> Path:
    """Writes images of noise, 8×8 pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


def small_options(images: Path, out: Path, **changes: object) -> TrainOptions:
    """Returns options of a run of `STEPS` steps of a few milliseconds each."""
    fixed = {
        "data": str(images),
        "space": NAME,
        "out": out,
        "epochs": EPOCHS,
        "batch": BATCH,
        "projection_hidden": 16,
        "amp": "fp32",
        "threads": 1,
        "checkpoint_steps": 5,
        "log_steps": 1,
        "tensorboard": False,
    }
    return TrainOptions(**(fixed | changes))  # pyright: ignore[reportArgumentType]


def words_of(options: RunOptions) -> list[str]:
    """Returns the command line that stands for options that are not the defaults."""
    words = []
    for name, value in vars(options).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            words += [f"--{flag}", *map(str, value)] if value else []
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return words


def start(words: Sequence[str], log: Path, verb: str = "train") -> BaseProcess:
    """Starts `hwsearch train` in a process group of its own, which knows the tiny space."""
    process = SPAWN.Process(target=_run, args=([verb, *words], log))
    process.start()
    return process


def _run(words: list[str], log: Path) -> None:
    os.setsid()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(words))


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Returns the rows of a run's log."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
