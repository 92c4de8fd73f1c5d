"""What a run is: all that decides its result, resolved before the first step."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hwsearch.checkpoint import Header
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.selfsup import get_method
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.settings import DEFAULTS, MethodSettings, resolve
from hwsearch.train.distributed import check_split, groups_of_one
from hwsearch.train.hardware import Hardware
from hwsearch.train.optimisers import default_lr
from hwsearch.train.options import TrainOptions
from hwsearch.train.recipe import RunOptions
from hwsearch.train.start import Start

CONFIG_NAME = "config.toml"
RECIPE = (
    *("epochs", "batch", "accumulate", "optimizer", "warmup", "weight_decay", "clip_norm"),
    *("residual_scale", "seed"),
    *("crop_min", "crop_max", "crop_shift", "crop_follow", "flip"),
    *("jitter", "jitter_hue", "grey", "blur"),
)
"""Options that decide the result of any run, beside those resolved and those of the method."""
_CONTENT = {
    "images": "--data",
    "teacher": "--teacher",
    "start": "--warm-start",
    "clusters": "--clusters",
}
"""Options that name files whose content decides the result, by its name in the recipe."""
_OF_TRAIN = ("random_subnets", "sampling", "loss_weights", "follow_max", "own_target")


def header_of(
    options: RunOptions,
    source: Source,
    hardware: Hardware,
    *,
    settings: MethodSettings,
    steps: int,
    more: Mapping[str, Any],
) -> Header:
    """Resolves what the options leave open.

    Args:
        options: What the user asked for.
        source: The images.
        hardware: Where and how to compute.
        settings: What the method is told.
        steps: Of the whole run.
        more: What else decides the result.

    Raises:
        HwsearchError: If the batch does not split equally.
    """
    norm = get_method(options.method).norm if options.norm == "auto" else options.norm
    groups = settings.norm_groups if "norm_groups" in DEFAULTS[options.method] else 1
    check_split(options.batch, groups_of_one(groups, norm), options.accumulate)
    lr = options.lr
    if lr is None:
        lr = default_lr(options.method, options.optimizer, options.batch)
    recipe = chosen(options, RECIPE)
    recipe |= {"lr": lr, "amp": hardware.amp, "norm": norm, "images": source.fingerprint()}
    return Header(options.space, options.method, settings, recipe | dict(more), 0, steps, {})


def chosen(options: RunOptions, names: Iterable[str]) -> dict[str, Any]:
    """Returns options by name."""
    return {name: getattr(options, name) for name in names}


def header_of_training(
    options: TrainOptions,
    source: Source,
    hardware: Hardware,
    teacher: ExternalTeacher | None,
    start: Start | None,
) -> Header:
    """Resolves what the options of `hwsearch train` leave open."""
    given, epochs = options.method_options(), options.epochs
    settings = resolve(options.method, given, images=len(source), batch=options.batch)
    if start is not None:
        settings = start.settings(settings)
        epochs = start.order.epochs if start.order else epochs
    if teacher is not None:
        settings = replace(
            settings,
            distil=options.distil or "features",
            distil_weight=options.distil_weight or settings.distil_weight,
            teacher_width=teacher.width,
        )
    more = chosen(options, _OF_TRAIN) | {"epochs": epochs}
    more["teacher"] = None if teacher is None else teacher.fingerprint()
    more |= start.recipe if start is not None else {}
    steps = len(source) // options.batch * epochs
    return header_of(options, source, hardware, settings=settings, steps=steps, more=more)


def check_same_recipe(old: Header, new: Header, out: Path) -> None:
    """Refuses to go on with a run of another recipe."""

    def identity(header: Header) -> dict[str, Any]:
        names = {"space": header.space, "method": header.method}
        return names | asdict(header.settings) | dict(header.recipe)

    before, now = identity(old), identity(new)
    if changed := differing_fields(before, now):
        amp = f" --amp {before['amp']}" if before["amp"] != now["amp"] else ""
        flags = [flag for name, flag in _CONTENT.items() if before.get(name) != now.get(name)]
        files = f" and what was in {' and '.join(flags)} then" if flags else ""
        how = f"--config {out / CONFIG_NAME} --resume{amp}{files}"
        raise HwsearchError(
            f"the run was started with other options ({'; '.join(changed)})",
            where=out,
            fix=f"Resume with {how}, or use another --out",
        )
