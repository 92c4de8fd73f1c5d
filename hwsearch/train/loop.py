"""A training run: set up or resumed, stepped through, saved."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, Header, build_method, load_weights
from hwsearch.config import write_config
from hwsearch.data.augment import augment
from hwsearch.data.loader import Batch, Loader, LoaderOptions
from hwsearch.data.sources import Source, open_source
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields
from hwsearch.progress import console, track
from hwsearch.selfsup.base import MethodSettings, Views
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.options import TrainOptions
from hwsearch.train.trainer import StepResult, StepSettings, Trainer

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
    out = options.out
    _check_one_process()
    _check_folder(options)
    hardware = choose_hardware(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source = open_source(options.data)
    header = _first_header(options, source, hardware)
    with Metrics(out / METRICS_NAME) as metrics:
        for leftover in out.glob(f".{CHECKPOINT_NAME}.*.part"):  # of a killed process
            leftover.unlink()
        checkpoint = Checkpoint.load(out) if (out / CHECKPOINT_NAME).exists() else None
        if checkpoint is not None:
            _check_same_recipe(checkpoint.header, header, out)
            if checkpoint.header.step == header.steps:
                console.print(f"{out} is finished: {header.steps} steps", markup=False)
                return out
        else:
            packages = ("torch", "numpy", "safetensors")
            write_config(out / CONFIG_NAME, replace(options, resume=False), packages)
        session = _Session(options, hardware, header, source, metrics)
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


class _Session:
    """All parts of a run while it is in memory."""

    def __init__(
        self,
        options: TrainOptions,
        hardware: Hardware,
        header: Header,
        source: Source,
        metrics: Metrics,
    ) -> None:
        self._options, self._hardware, self._header = options, hardware, header
        self._metrics = metrics
        space = get_space(options.space)
        self._side = space.input_shape[1]
        self._augment = options.augmentation()
        self._loader = Loader(
            source,
            LoaderOptions(
                batch=options.batch,
                side=self._side,
                seed=options.seed,
                workers=options.workers,
                max_corrupt_share=options.max_corrupt_share,
            ),
        )
        method = build_method(
            space,
            options.method,
            header.settings,
            seed=options.seed,
            residual_scale=options.residual_scale,
        )
        method.to(hardware.device)
        # torch's stubs do not know this argument
        method.to(memory_format=hardware.memory_format)  # pyright: ignore[reportCallIssue]
        self._trainer = Trainer(method, space, _step_settings(options, header), hardware)
        self._saved_at = self._logged_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint | None) -> None:
        """Goes to where a checkpoint stands, or to the start; cuts the metrics back to there."""
        if checkpoint is not None:
            found = checkpoint.header
            load_weights(self._trainer.method, checkpoint, self._options.out)
            self._loader.load_state_dict(dict(found.progress["loader"]))
            self._trainer.restore(found.step, checkpoint.optimiser, found.progress["trainer"])
        self._metrics.cut(self._trainer.step)

    def train(self) -> None:
        """Takes all steps that are left."""
        steps, trainer = self._header.steps, self._trainer
        with track("train", steps, start=trainer.step) as advance:
            while trainer.step < steps:
                for batch in self._loader:
                    result = trainer.run_step(self._views(batch))
                    note = f"loss {sum(result.losses.values()):.3f}"
                    if trainer.step % self._options.log_steps == 0 or trainer.step == steps:
                        self._log(result, batch.epoch)
                    if self._save_is_due():
                        self._save()
                    advance(1, note)

    def _views(self, batch: Batch) -> Views:
        """Augments a batch twice, on the device."""
        images = batch.images.to(self._hardware.device, non_blocking=True)
        query, key = (
            augment(
                images,
                batch.indices,
                side=self._side,
                seed=self._options.seed,
                epoch=batch.epoch,
                view=view,
                options=self._augment,
            ).contiguous(memory_format=self._hardware.memory_format)
            for view in range(2)
        )
        return Views(query, key, batch.indices.to(images.device), self._trainer.step)

    def _log(self, result: StepResult, epoch: int) -> None:
        now = time.monotonic()
        images = self._options.batch * min(self._options.log_steps, self._trainer.step)
        row: dict[str, float] = {"step": self._trainer.step, "epoch": epoch}
        row["loss"] = sum(result.losses.values())
        row |= {f"loss_{role}": loss for role, loss in result.losses.items()}
        row |= {"embedding_std": result.embedding_std, "lr": result.lr}
        row["images_per_second"] = images / (now - self._logged_at)
        self._metrics.write(row)
        self._logged_at = now

    def _save_is_due(self) -> bool:
        step, every = self._trainer.step, self._options.checkpoint_steps
        late = time.monotonic() - self._saved_at >= 60 * self._options.checkpoint_minutes
        return late or step == self._header.steps or (every is not None and step % every == 0)

    def _save(self) -> None:
        self._metrics.sync()
        progress: Mapping[str, Any] = {
            "loader": self._loader.state_dict(),
            "trainer": self._trainer.progress(),
        }
        header = replace(self._header, step=self._trainer.step, progress=progress)
        state = self._trainer.method.state_dict()
        Checkpoint(header, state, self._trainer.optimiser_state()).save(self._options.out)
        self._saved_at = time.monotonic()


def _step_settings(options: TrainOptions, header: Header) -> StepSettings:
    return StepSettings(
        steps=header.steps,
        lr=header.recipe["lr"],
        warmup_steps=round(options.warmup * header.steps),
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        random_subnets=options.random_subnets,
        sampling=options.sampling,
        seed=options.seed,
    )
