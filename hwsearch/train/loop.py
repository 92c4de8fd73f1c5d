"""A training run: started, or resumed where an earlier one stands."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from hwsearch.nn.processes import rank, world
from hwsearch.progress import say
from hwsearch.selfsup import get_method
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.settings import DEFAULTS, resolve
from hwsearch.spaces import get_space
from hwsearch.train.distributed import check_split, groups_of_one, joined
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.monitor import Monitor
from hwsearch.train.optimisers import default_lr
from hwsearch.train.options import TrainOptions
from hwsearch.train.session import CONFIG_NAME, Session
from hwsearch.train.start import Start, open_start
from hwsearch.train.teacher import open_teacher

METRICS_NAME = "metrics.jsonl"
_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "scikit-learn", "safetensors")
"""What computes, decodes images, holds the digits and judges, and writes the checkpoint."""
_RECIPE = (
    *("epochs", "batch", "optimizer", "warmup", "weight_decay", "clip_norm"),
    *("random_subnets", "sampling", "residual_scale", "seed"),
    *("accumulate", "loss_weights", "follow_max"),
    *("crop_min", "crop_max", "crop_shift", "crop_follow", "flip"),
    *("jitter", "jitter_hue", "grey", "blur"),
)
"""Options that decide the result, beside those that are resolved or belong to the method."""


def run(options: TrainOptions) -> Path:
    """Trains or resumes; see `hwsearch.train.train`."""
    hardware = choose_hardware(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with joined(hardware.device):
        source = open_source(options.data)
        teacher = _open_teacher(options)
        start = open_start(options, source)
        header = _first_header(options, source, hardware, teacher, start)
        with _metrics(options, hardware) as metrics:
            checkpoint = _earlier(options, header)
            finished = checkpoint is not None and checkpoint.header.step == header.steps
            if not finished:
                if checkpoint is not None and metrics is not None:
                    note_change(
                        options.out / CONFIG_NAME,
                        _PACKAGES,
                        machine=_machine(hardware),
                        step=checkpoint.header.step,
                    )
                session = Session(
                    options,
                    hardware,
                    header,
                    source,
                    metrics,
                    monitor=_monitor(options, hardware),
                    teacher=teacher,
                    start=start,
                )
                session.restore(checkpoint)
                session.train()
    if metrics is not None:
        done = "finished" if finished else "trained"
        say(f"{options.out} is {done}: {header.steps} steps. {_next(options)}")
    return options.out


def rehearse(options: TrainOptions, *, steps: int) -> float:
    """Takes the first steps of a run and keeps nothing of it.

    Args:
        options: Of the run, without an earlier one or a teacher.
        steps: Most steps that are timed, after one that is not.

    Returns:
        Seconds that one step takes.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    hardware, source = choose_hardware(options), open_source(options.data)
    header = _first_header(options, source, hardware, None, None)
    session = Session(options, hardware, header, source, None)
    session.restore(None)
    return session.rehearse(steps)


@contextmanager
def _metrics(options: TrainOptions, hardware: Hardware) -> Iterator[Metrics | None]:
    """Takes the folder for this run; of many processes the first does, and alone writes."""
    if rank() > 0:
        yield None
        return
    out = options.out
    _check_folder(options)
    with Metrics(out / METRICS_NAME, tensorboard=options.writes_tensorboard()) as metrics:
        for leftover in out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        if not (out / CHECKPOINT_NAME).exists():
            first = replace(options, resume=False)
            write_config(out / CONFIG_NAME, first, _PACKAGES, machine=_machine(hardware))
        yield metrics


def _earlier(options: TrainOptions, header: Header) -> Checkpoint | None:
    """Returns what an earlier process of the same run left, if it left something."""
    if not (options.out / CHECKPOINT_NAME).exists():
        return None
    checkpoint = Checkpoint.load(options.out)
    _check_same_recipe(checkpoint.header, header, options.out)
    return checkpoint


def _monitor(options: TrainOptions, hardware: Hardware) -> Monitor | None:
    if options.monitor is None or rank() > 0:
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
    together = f", {world()} processes" if world() > 1 else ""
    return f"{detect().name} ({hardware.device}, {hardware.amp}{together})"


def _next(options: TrainOptions) -> str:
    if options.clusters is not None:
        return (
            f"Next, with images of a TASK: hwsearch route --checkpoint {quote(str(options.out))} "
            f"--clusters {quote(str(options.clusters))} --task TASK --out ROUTE"
        )
    return (
        f"Next, with the TABLE that hwsearch profile --space {options.space} makes: "
        f"hwsearch search --checkpoint {quote(str(options.out))} "
        f"--images {quote(options.data)} --tables TABLE --out SEARCH"
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
    options: TrainOptions,
    source: Source,
    hardware: Hardware,
    teacher: ExternalTeacher | None,
    start: Start | None,
) -> Header:
    """Resolves what the options leave open, before the first step."""
    given, epochs = options.method_options(), options.epochs
    settings = resolve(options.method, given, images=len(source), batch=options.batch)
    if start is not None:
        settings = start.settings
        epochs = start.order.epochs if start.order else epochs
    if teacher is not None:
        settings = replace(
            settings,
            distil=options.distil or "features",
            distil_weight=options.distil_weight or settings.distil_weight,
            teacher_width=teacher.width,
        )
    norm = get_method(options.method).norm if options.norm == "auto" else options.norm
    groups = settings.norm_groups if "norm_groups" in DEFAULTS[options.method] else 1
    check_split(options.batch, groups_of_one(groups, norm), options.accumulate)
    lr = options.lr
    if lr is None:
        lr = default_lr(options.method, options.optimizer, options.batch)
    recipe = {name: getattr(options, name) for name in _RECIPE}
    recipe |= {"lr": lr, "amp": hardware.amp, "norm": norm, "images": source.fingerprint()}
    recipe["teacher"] = None if teacher is None else teacher.fingerprint()
    recipe |= {"epochs": epochs} | (start.recipe if start is not None else {})
    steps = len(source) // options.batch * epochs
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
