"""A training run: started, or resumed where an earlier one stands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, Header
from hwsearch.config import check_config, note_change, write_config
from hwsearch.data.sources import open_source
from hwsearch.device import detect
from hwsearch.errors import HwsearchError
from hwsearch.nn.processes import rank, world
from hwsearch.progress import say
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.spaces import get_space
from hwsearch.train.distributed import joined
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.identity import CONFIG_NAME, check_same_recipe, header_of_training
from hwsearch.train.metrics import Metrics
from hwsearch.train.monitor import Monitor
from hwsearch.train.options import TrainOptions
from hwsearch.train.passes import PassSettings
from hwsearch.train.phases import PathSchedule
from hwsearch.train.recipe import RunOptions
from hwsearch.train.schedule import Schedule
from hwsearch.train.session import Session
from hwsearch.train.start import Start, open_start
from hwsearch.train.teacher import open_teacher
from hwsearch.train.trainer import StepSettings

METRICS_NAME = "metrics.jsonl"
_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "scikit-learn", "safetensors")
"""What computes, decodes images, holds the digits and judges, and writes the checkpoint."""


def run(options: TrainOptions) -> Path:
    """Trains or resumes; see `hwsearch.train.train`."""
    hardware = choose_hardware(options)
    with joined(hardware.device):
        source = open_source(options.data)
        teacher = _open_teacher(options)
        start = open_start(options, source)
        header = header_of_training(options, source, hardware, teacher, start)

        def make(metrics: Metrics | None) -> Session:
            return Session(
                options,
                hardware,
                header,
                source,
                metrics,
                settings=_step_settings(options, header, start),
                order=None if start is None else start.order,
                monitor=open_monitor(options, hardware),
                teacher=teacher,
                start=start,
            )

        done = carry_out(options, hardware, header, make)
        if rank() == 0:
            say(f"{options.out} is {done}: {header.steps} steps. {_next(options)}")
    return options.out


def carry_out(
    options: RunOptions,
    hardware: Hardware,
    header: Header,
    make: Callable[[Metrics | None], Session],
) -> str:
    """Takes the steps of a run that are left.

    Args:
        options: What the user asked for.
        hardware: Where and how to compute.
        header: What the run's checkpoints say about it.
        make: Opens the run, given its log.

    Returns:
        "finished" if none was left, else "trained".

    Raises:
        HwsearchError: If the folder holds another run, or training fails.
        SystemExit: If a signal asked to stop, after a checkpoint.
    """
    with _metrics(options) as metrics:
        checkpoint = _earlier(options, header)
        if checkpoint is not None and checkpoint.header.step == header.steps:
            return "finished"
        session = make(metrics)
        if metrics is not None:
            _describe(options, hardware, checkpoint)
        session.restore(checkpoint)
        session.train()
    return "trained"


def rehearse(options: TrainOptions, *, steps: int) -> float:
    """Takes the first steps of a run and keeps nothing of it.

    Args:
        options: Of the run, without an earlier one or a teacher.
        steps: Most steps that are timed, after one that is not.

    Returns:
        Seconds that one step takes.
    """
    hardware, source = choose_hardware(options), open_source(options.data)
    header = header_of_training(options, source, hardware, None, None)
    settings = _step_settings(options, header, None)
    session = Session(options, hardware, header, source, None, settings=settings)
    session.restore(None)
    return session.rehearse(steps)


@contextmanager
def _metrics(options: RunOptions) -> Iterator[Metrics | None]:
    """Takes the folder for this run; of many processes the first does, and alone writes."""
    if rank() > 0:
        yield None
        return
    out = options.out
    _check_folder(options)
    with Metrics(out / METRICS_NAME, tensorboard=options.writes_tensorboard()) as metrics:
        for leftover in out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        yield metrics


def _earlier(options: RunOptions, header: Header) -> Checkpoint | None:
    """Returns what an earlier process of the same run left, if it left something."""
    if not (options.out / CHECKPOINT_NAME).exists():
        return None
    checkpoint = Checkpoint.load(options.out)
    check_same_recipe(checkpoint.header, header, options.out)
    return checkpoint


def _describe(options: RunOptions, hardware: Hardware, checkpoint: Checkpoint | None) -> None:
    """Writes the run's config.toml, or notes what has changed since the checkpoint."""
    config, machine = options.out / CONFIG_NAME, _machine(hardware)
    if checkpoint is not None:
        note_change(config, _PACKAGES, machine=machine, step=checkpoint.header.step)
        return
    if options.resume:
        say(f"No checkpoint in {options.out} yet: starting at step 0")
    write_config(config, replace(options, resume=False), _PACKAGES, machine=machine)


def open_monitor(options: RunOptions, hardware: Hardware) -> Monitor | None:
    """Opens what judges the networks now and then, on the process that tells, if asked for."""
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


def _check_folder(options: RunOptions) -> None:
    """Refuses a folder with a run that is not to go on, or with files of something else."""
    out = options.out
    config, has_checkpoint = out / CONFIG_NAME, (out / CHECKPOINT_NAME).exists()
    has_run, metrics = has_checkpoint or config.exists(), out / METRICS_NAME
    if has_run and not options.resume:
        raise HwsearchError(
            "this folder holds a run already",
            where=out,
            fix="Go on with it by --resume, or use another --out",
        )
    if has_run and not has_checkpoint:
        check_config(config, options)
    if not has_run and metrics.exists() and metrics.stat().st_size:
        raise HwsearchError("this log is of no run here", where=metrics, fix="Use another --out")


def _open_teacher(options: TrainOptions) -> ExternalTeacher | None:
    if options.teacher is None:
        return None
    return open_teacher(options.teacher, get_space(options.space).input_shape[1])


def _step_settings(options: TrainOptions, header: Header, start: Start | None) -> StepSettings:
    schedule = Schedule(
        steps=header.steps,
        lr=header.recipe["lr"],
        warmup_steps=round(options.warmup * header.steps),
        random_subnets=options.random_subnets,
        sampling=options.sampling,
        seed=options.seed,
    )
    if start is not None and start.order is not None:
        schedule = PathSchedule(**vars(schedule), order=start.order, shrinks=start.shrinks)
    return StepSettings(
        schedule=schedule,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        passes=PassSettings(
            options.loss_weights, options.follow_max, options.accumulate, options.own_target
        ),
    )
