"""A training run: started, or resumed where an earlier one stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, Header
from hwsearch.config import write_config
from hwsearch.data.sources import Source, open_source
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.nn.processes import rank
from hwsearch.progress import say
from hwsearch.selfsup import get_method
from hwsearch.selfsup.base import MethodSettings
from hwsearch.train.distributed import check_split, groups_of_one, joined
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.options import TrainOptions
from hwsearch.train.session import Session

CONFIG_NAME = "config.toml"
METRICS_NAME = "metrics.jsonl"
LARGEST_QUEUE = 65_536
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
    hardware = choose_hardware(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with joined(hardware.device):
        source = open_source(options.data)
        header = _first_header(options, source, hardware)
        with _metrics(options) as metrics:
            checkpoint = _earlier(options, header)
            if checkpoint is not None and checkpoint.header.step == header.steps:
                if rank() == 0:
                    say(f"{options.out} is finished: {header.steps} steps")
                return options.out
            session = Session(options, hardware, header, source, metrics)
            session.restore(checkpoint)
            session.train()
    return options.out


@contextmanager
def _metrics(options: TrainOptions) -> Iterator[Metrics | None]:
    """Takes the folder for this run; only the first of many processes does."""
    if rank() > 0:
        yield None
        return
    _check_folder(options)
    with Metrics(options.out / METRICS_NAME) as metrics:
        for leftover in options.out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        if not (options.out / CHECKPOINT_NAME).exists():
            first = replace(options, resume=False)
            write_config(options.out / CONFIG_NAME, first, ("torch", "numpy", "safetensors"))
        yield metrics


def _earlier(options: TrainOptions, header: Header) -> Checkpoint | None:
    """Returns what an earlier process of the same run left, if it left something."""
    if not (options.out / CHECKPOINT_NAME).exists():
        return None
    checkpoint = Checkpoint.load(options.out)
    _check_same_recipe(checkpoint.header, header, options.out)
    return checkpoint


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
    norm = get_method(options.method).norm if options.norm == "auto" else options.norm
    check_split(options.batch, groups_of_one(options.norm_groups, norm), "--norm-groups")
    lr = options.lr if options.lr is not None else _LR_OF_256 * options.batch / 256
    recipe = {name: getattr(options, name) for name in _RECIPE}
    recipe |= {"lr": lr, "amp": hardware.amp, "norm": norm, "images": source.fingerprint()}
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
