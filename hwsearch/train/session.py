"""All parts of a training run while it is in memory: stepped through, logged, saved."""

import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from hwsearch.checkpoint import Checkpoint, Header, build_method, load_weights
from hwsearch.clusters.tree import name_of
from hwsearch.data.augment import augment
from hwsearch.data.loader import Batch, Loader, LoaderOptions
from hwsearch.data.order import Order
from hwsearch.data.reading import WorkerDied
from hwsearch.data.sources import Source
from hwsearch.nn.norms import synchronise
from hwsearch.nn.processes import rank, union, wait_for_all, world
from hwsearch.nn.supernet import recompute_activations
from hwsearch.progress import say, track
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.distil import TaughtMethod
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.train.distributed import check_equal, groups_of_one
from hwsearch.train.hardware import Hardware
from hwsearch.train.identity import CONFIG_NAME
from hwsearch.train.metrics import Metrics
from hwsearch.train.monitor import Monitor
from hwsearch.train.pace import Pace
from hwsearch.train.recipe import RunOptions
from hwsearch.train.start import Start
from hwsearch.train.stop import StopRequest
from hwsearch.train.trainer import StepResult, StepSettings, Trainer


class Session:
    """A run while it is in memory.

    Args:
        options: What the user asked for.
        hardware: Where and how to compute.
        header: What the run's checkpoints say about it; resolves what the options leave open.
        source: The images.
        metrics: The run's log, on the one process that writes files.
        settings: What its steps have in common.
        order: Which images each batch has; all of them in a random order by default.
        monitor: What judges the networks now and then, if asked for; on that process, too.
        teacher: What the method follows, if it follows an external one.
        start: The earlier run that this one goes on from, if there is one.

    Attributes:
        verb: The command that the run is of.
    """

    verb = "train"

    def __init__(
        self,
        options: RunOptions,
        hardware: Hardware,
        header: Header,
        source: Source,
        metrics: Metrics | None,
        *,
        settings: StepSettings,
        order: Order | None = None,
        monitor: Monitor | None = None,
        teacher: ExternalTeacher | None = None,
        start: Start | None = None,
    ) -> None:
        self._options, self._hardware, self._header = options, hardware, header
        self._metrics, self._monitor, self._start = metrics, monitor, start
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
                cache_mb=options.cache_mb,
                max_corrupt_share=options.max_corrupt_share,
                gpu=hardware.device == "cuda",
            ),
            rank=rank(),
            world=world(),
            order=order,
        )
        norm = header.recipe["norm"]
        groups = groups_of_one(header.settings.norm_groups, norm)
        method = self._build(space, replace(header.settings, norm_groups=groups))
        if isinstance(method, TaughtMethod):
            assert teacher is not None, "the header says that there is a teacher"
            method.follow(teacher.to(hardware.device))
        if norm == "sync":
            synchronise(method)
        if options.checkpoint_activations:
            recompute_activations(method)
        method.to(hardware.device)
        # torch's stubs do not know this argument
        method.to(memory_format=hardware.memory_format)  # pyright: ignore[reportCallIssue]
        self._schedule = settings.schedule
        self._trainer = Trainer(method, space, settings, hardware)
        self._saved_at, self._saved_step = time.monotonic(), -1

    def _build(self, space: Space, settings: MethodSettings) -> Method[Any]:
        """Builds what the run trains."""
        return build_method(
            space,
            self._options.method,
            settings,
            seed=self._options.seed,
            residual_scale=self._options.residual_scale,
        )

    @property
    def title(self) -> str:
        """What progress is shown of."""
        return self.verb

    @property
    def config(self) -> Path:
        """The file by which a stopped run goes on."""
        return self._options.out / CONFIG_NAME

    def restore(self, checkpoint: Checkpoint | None) -> None:
        """Goes to where a checkpoint stands, or to the start; cuts the metrics back to there."""
        if checkpoint is None and self._start is not None:
            self._start.begin(self._trainer.method)
        if checkpoint is not None:
            found = checkpoint.header
            load_weights(self._trainer.method, checkpoint, self._options.out)
            self._loader.load_state_dict(dict(found.progress["loader"]))
            self._trainer.restore(found.step, checkpoint.optimiser, found.progress["trainer"])
        check_equal(self._trainer.method)
        if self._metrics is not None:
            self._metrics.cut(self._trainer.step)

    def train(self) -> None:
        """Takes all steps that are left.

        Raises:
            HwsearchError: If training fails; the last checkpoint is intact.
            SystemExit: If a signal asked to stop, with 128 and its number, after a checkpoint.
        """
        steps, start, quiet = self._header.steps, self._trainer.step, self._metrics is None
        self._pace = Pace(self._loader)
        with StopRequest() as stop:
            with track(self.title, steps, start=start, quiet=quiet) as advance:
                for batch in self._batches(stop):
                    loss = self._take_step(batch)
                    advance(1, f"loss {loss:.3f}")
                self._loader.close()
            if stop.received is not None and self._trainer.step < steps:
                self._stop(stop)

    def rehearse(self, steps: int) -> float:
        """Takes a step, then a few more of the first pass; returns the seconds of one of these."""
        self._pace = Pace(self._loader)
        ends = []
        for batch in islice(self._loader, 1 + steps):
            self._take_step(batch)
            ends.append(time.monotonic())
        self._loader.close()
        return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else ends[0] - self._saved_at

    def _batches(self, stop: StopRequest) -> Iterator[Batch]:
        """Yields the batches of all steps left, or of those before a signal to any process."""
        while self._trainer.step < self._header.steps:
            try:
                for batch in self._loader:
                    yield batch
                    if stop.agreed() or self._trainer.step >= self._header.steps:
                        return
            except WorkerDied:
                if stop.received is None:  # else the signal has reached the workers too
                    raise
                return

    def _take_step(self, batch: Batch) -> float:
        """Trains on a batch; logs, judges and saves what is due; returns the loss."""
        views, trainer = self._views(batch), self._trainer
        result = self._step(views)
        last = trainer.step == self._header.steps
        if last or trainer.step % self._options.log_steps == 0:
            self._log(result, views, batch.epoch)
            self._loader.hear_of_corrupt(union(self._loader.corrupt))
        with self._pace.pause():
            if last or self._is_judged(trainer.step):
                self._judge(batch.epoch)
            if last or self._save_is_due():
                self._save()
        return result.loss

    def _step(self, views: Views) -> StepResult:
        """Trains on the views of a batch."""
        return self._trainer.run_step(views)

    def _stop(self, stop: StopRequest) -> NoReturn:
        """Saves and leaves; while the request is still heard, so that no echo ends the saving."""
        assert stop.received is not None
        if self._saved_step != self._trainer.step:
            self._save()
        if self._metrics is not None:
            say(
                f"Stopped by {stop.received.name} after step {self._trainer.step} of "
                f"{self._header.steps}; the checkpoint is saved. Go on: hwsearch {self.verb} "
                f"--config {shlex.quote(str(self.config))} --resume"
            )
        wait_for_all()  # torchrun ends all processes as soon as one has left
        raise SystemExit(stop.exit_code)

    def _views(self, batch: Batch) -> Views:
        """Augments a batch twice, on the device; each sight of an image in an epoch otherwise."""
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
            for view, options in enumerate(
                (self._augment, key_options), start=2 * self._schedule.sights_before(step)
            )
        )
        indices = batch.indices.to(images.device)
        return Views(query, key, indices, step, step / self._header.steps)

    def _log(self, result: StepResult, views: Views, epoch: int) -> None:
        step = self._trainer.step
        row: dict[str, float | str] = {"step": step, "epoch": epoch, "loss": result.loss}
        row |= self._figures(step)
        row |= {f"loss_{role}": loss for role, loss in result.losses.items()}
        row |= {"embedding_std": result.embedding_std}
        row |= {"effective_rank": self._trainer.effective_rank(views), "lr": result.lr}
        if self._metrics is not None:
            self._metrics.write(row | self._pace.lap())

    def _figures(self, step: int) -> dict[str, float | str]:
        """Returns what this kind of run adds to a line of its log."""
        if self._start is None:
            return {}
        told: dict[str, float | str] = {"total_step": self._header.recipe["start_steps"] + step}
        if self._start.order is not None:
            node = self._start.order.node_at(step - 1)
            told |= {"phase": len(node), "node": name_of(node)}
        return told

    def _is_judged(self, step: int) -> bool:
        return step % (self._loader.steps_per_epoch * self._options.monitor_epochs) == 0

    def _judge(self, epoch: int) -> None:
        if self._monitor is None or self._metrics is None:
            return
        found = self._monitor.judge(self._trainer.method)
        self._metrics.write({"step": self._trainer.step, "epoch": epoch} | found)
        told = ", ".join(
            f"{name.removeprefix('knn_')} {share:.1%}" for name, share in found.items()
        )
        say(f"epoch {epoch + 1}: nearest neighbours are right in {told}")

    def _save_is_due(self) -> bool:
        step, every = self._trainer.step, self._options.checkpoint_steps
        late = time.monotonic() - self._saved_at >= 60 * self._options.checkpoint_minutes
        return late or (every is not None and step % every == 0)

    def _progress(self) -> Mapping[str, Any]:
        """Returns what a checkpoint tells beside tensors, fit for JSON."""
        return {"loader": self._loader.state_dict(), "trainer": self._trainer.progress()}

    def _save(self) -> None:
        if self._metrics is None:
            return
        self._trainer.check_weights()
        self._metrics.sync()
        header = replace(self._header, step=self._trainer.step, progress=self._progress())
        state = self._trainer.method.state_dict()
        Checkpoint(header, state, self._trainer.optimiser_state()).save(self._options.out)
        self._saved_at, self._saved_step = time.monotonic(), self._trainer.step
