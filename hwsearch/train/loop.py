"""A training run: started, or resumed where an earlier one stands."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, Header
from hwsearch.config import write_config
from hwsearch.data.sources import Source, open_source
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.progress import say
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.settings import resolve
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.options import TrainOptions
from hwsearch.train.session import Session
from hwsearch.train.teacher import open_teacher

CONFIG_NAME = "config.toml"
METRICS_NAME = "metrics.jsonl"
_LR_OF_256 = 0.03
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
    teacher = _open_teacher(options)
    header = _first_header(options, source, hardware, teacher)
    with Metrics(out / METRICS_NAME) as metrics:
        for leftover in out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        checkpoint = Checkpoint.load(out) if (out / CHECKPOINT_NAME).exists() else None
        if checkpoint is not None:
            _check_same_recipe(checkpoint.header, header, out)
            if checkpoint.header.step == header.steps:
                say(f"{out} is finished: {header.steps} steps")
                return out
        else:
            packages = ("torch", "numpy", "safetensors")
            write_config(out / CONFIG_NAME, replace(options, resume=False), packages)
        session = Session(options, hardware, header, source, metrics, teacher=teacher)
        session.restore(checkpoint)
        session.train()
    return out


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


def _open_teacher(options: TrainOptions) -> ExternalTeacher | None:
    if options.teacher is None:
        return None
    return open_teacher(options.teacher, get_space(options.space).input_shape[1])


def _first_header(
    options: TrainOptions, source: Source, hardware: Hardware, teacher: ExternalTeacher | None
) -> Header:
    """Resolves what the options leave open, before the first step."""
    settings = resolve(
        options.method, options.method_options(), images=len(source), batch=options.batch
    )
    if teacher is not None:
        settings = replace(
            settings,
            distil=options.distil or "features",
            distil_weight=options.distil_weight or settings.distil_weight,
            teacher_width=teacher.width,
        )
    lr = options.lr if options.lr is not None else _LR_OF_256 * options.batch / 256
    recipe = {name: getattr(options, name) for name in _RECIPE}
    recipe |= {"lr": lr, "amp": hardware.amp, "images": source.fingerprint()}
    recipe["teacher"] = None if teacher is None else teacher.fingerprint()
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
