"""All parts of a training run while it is in memory: stepped through, logged, saved."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hwsearch.checkpoint import Checkpoint, Header, build_method, load_weights
from hwsearch.data.augment import augment
from hwsearch.data.loader import Batch, Loader, LoaderOptions
from hwsearch.data.sources import Source
from hwsearch.progress import track
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.distil import TaughtMethod
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware
from hwsearch.train.metrics import Metrics
from hwsearch.train.options import TrainOptions
from hwsearch.train.schedule import Schedule
from hwsearch.train.trainer import StepResult, StepSettings, Trainer


class Session:
    """A run while it is in memory.

    Args:
        options: What the user asked for.
        hardware: Where and how to compute.
        header: What the run's checkpoints say about it; resolves what the options leave open.
        source: The images.
        metrics: The run's log.
        teacher: What the method follows, if it follows an external one.
    """

    def __init__(
        self,
        options: TrainOptions,
        hardware: Hardware,
        header: Header,
        source: Source,
        metrics: Metrics,
        *,
        teacher: ExternalTeacher | None = None,
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
        if isinstance(method, TaughtMethod):
            assert teacher is not None, "the header says that there is a teacher"
            method.follow(teacher.to(hardware.device))
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
        step, method = self._trainer.step, self._trainer.method
        key_options = self._augment.weak() if method.weak_key else self._augment
        query, key = (
            augment(
                images,
                batch.indices,
                side=self._side,
                seed=self._options.seed,
                epoch=batch.epoch,
                view=view,
                options=options,
            ).contiguous(memory_format=self._hardware.memory_format)
            for view, options in enumerate((self._augment, key_options))
        )
        indices = batch.indices.to(images.device)
        return Views(query, key, indices, step, step / self._header.steps)

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
    schedule = Schedule(
        steps=header.steps,
        lr=header.recipe["lr"],
        warmup_steps=round(options.warmup * header.steps),
        random_subnets=options.random_subnets,
        sampling=options.sampling,
        seed=options.seed,
    )
    return StepSettings(
        schedule=schedule,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
    )
