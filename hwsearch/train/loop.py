"""A training run: started, or resumed where an earlier one stands."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, Header
from hwsearch.config import note_change, write_config
from hwsearch.data.sources import Source, open_source
from hwsearch.device import detect
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.progress import say
from hwsearch.selfsup.base import MethodSettings
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.monitor import Monitor
from hwsearch.train.options import TrainOptions
from hwsearch.train.session import CONFIG_NAME, Session

METRICS_NAME = "metrics.jsonl"
LARGEST_QUEUE = 65_536
_LR_OF_256 = 0.03
_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "scikit-learn", "safetensors")
"""What computes, decodes images, holds the digits and judges, and writes the checkpoint."""
_RECIPE = (
    *("epochs", "batch", "optimizer", "warmup", "weight_decay", "clip_norm"),
    *("random_subnets", "sampling", "residual_scale", "seed"),
    *("crop_min", "crop_max", "crop_shift", "crop_follow", "flip"),
    *("jitter", "jitter_hue", "grey", "blur"),
)
"""Options that decide the result, beside those that are resolved or belong to the method."""


def run(options: TrainOptions) -> Path:
    """Trains or resumes; see `hwsearch.train.train`."""
    out = options.out
    _check_one_process()
    _check_folder(options)
    hardware = choose_hardware(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source = open_source(options.data)
    header = _first_header(options, source, hardware)
    with Metrics(out / METRICS_NAME, tensorboard=options.writes_tensorboard()) as metrics:
        for leftover in out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        checkpoint = Checkpoint.load(out) if (out / CHECKPOINT_NAME).exists() else None
        if checkpoint is not None:
            _check_same_recipe(checkpoint.header, header, out)
            if checkpoint.header.step == header.steps:
                say(f"{out} is finished: {header.steps} steps. {_next(options)}")
                return out
            step, machine = checkpoint.header.step, _machine(hardware)
            note_change(out / CONFIG_NAME, _PACKAGES, machine=machine, step=step)
        else:
            first = replace(options, resume=False)
            write_config(out / CONFIG_NAME, first, _PACKAGES, machine=_machine(hardware))
        monitor = _monitor(options, hardware)
        session = Session(options, hardware, header, source, metrics, monitor=monitor)
        session.restore(checkpoint)
        session.train()
    say(f"{out} is trained: {header.steps} steps. {_next(options)}")
    return out


def _monitor(options: TrainOptions, hardware: Hardware) -> Monitor | None:
    if options.monitor is None:
        return None
    return Monitor(
        open_source(options.monitor),
        get_space(options.space),
        hardware,
        limit=options.monitor_images,
        seed=options.seed,
        max_corrupt_share=options.max_corrupt_share,
    )


def _machine(hardware: Hardware) -> str:
    return f"{detect().name} ({hardware.device}, {hardware.amp})"


def _next(options: TrainOptions) -> str:
    return (
        f"Next, with the TABLE that hwsearch profile --space {options.space} makes: "
        f"hwsearch search --checkpoint {quote(str(options.out))} "
        f"--images {quote(options.data)} --tables TABLE --out SEARCH"
    )


def _check_one_process() -> None:
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise HwsearchError(
            f"started as {processes} processes, but training runs in one",
            fix="Start it without torchrun: hwsearch train …",
        )


def _check_folder(options: TrainOptions) -> None:
    used = [name for name in (CONFIG_NAME, CHECKPOINT_NAME) if (options.out / name).exists()]
    if used and not options.resume:
        raise HwsearchError(
            "this folder holds a run already",
            where=options.out,
            fix="Go on with it by --resume, or use another --out",
        )


def _first_header(options: TrainOptions, source: Source, hardware: Hardware) -> Header:
    """Resolves what the options leave open, before the first step."""
    largest = min(LARGEST_QUEUE, max(len(source) // 4, options.batch))
    settings = MethodSettings(
        projection_hidden=options.projection_hidden,
        temperature=options.temperature,
        ema=options.ema,
        queue=largest // options.batch * options.batch if options.queue is None else options.queue,
        norm_groups=options.norm_groups,
    )
    lr = options.lr if options.lr is not None else _LR_OF_256 * options.batch / 256
    recipe = {name: getattr(options, name) for name in _RECIPE}
    recipe |= {"lr": lr, "amp": hardware.amp, "images": source.fingerprint()}
    steps = len(source) // options.batch * options.epochs
    return Header(options.space, options.method, settings, recipe, 0, steps, {})


def _check_same_recipe(old: Header, new: Header, out: Path) -> None:
    def identity(header: Header) -> dict[str, Any]:
        names = {"space": header.space, "method": header.method}
        return names | asdict(header.settings) | dict(header.recipe)

    if changed := differing_fields(identity(old), identity(new)):
        raise HwsearchError(
            f"the run was started with other options ({'; '.join(changed)})",
            where=out,
            fix=f"Resume with --config {out / CONFIG_NAME} --resume, or use another --out",
        )
