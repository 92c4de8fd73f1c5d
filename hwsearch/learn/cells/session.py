"""A search over cells in memory: each step moves the architecture, then the weights.

Shapes: B batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hwsearch.checkpoint import Checkpoint
from hwsearch.learn.cells.bilevel import first_order, second_order
from hwsearch.learn.cells.discretise import alarm, discretise, skips
from hwsearch.learn.cells.learner import ArchitectureLearner
from hwsearch.learn.cells.network import SearchNet
from hwsearch.learn.cells.options import CellOptions
from hwsearch.progress import say
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.rows import rows_of
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.simclr import SimClr
from hwsearch.space import Space
from hwsearch.spaces.genotype import Genotype
from hwsearch.train.optimisers import MOMENTUM
from hwsearch.train.session import Session
from hwsearch.train.trainer import StepResult, StepSettings

_BEFORE = "momentum_buffer/"
"""How a trainer names what SGD remembers of a weight."""


class CellSession(Session):
    """A session whose architecture learns, too.

    Args:
        learner: Of the architecture.
        options: What the user asked for.
        settings: What the steps have in common.
        arguments: The others of a session; the order gives `Halves`.
    """

    verb = "learn"

    def __init__(
        self,
        learner: ArchitectureLearner,
        options: CellOptions,
        *arguments: Any,  # noqa: ANN401
        settings: StepSettings,
        **named: Any,  # noqa: ANN401
    ) -> None:
        self._learner, self._cells, self._settings = learner, options, settings
        self._network = options.cell_space.maximum
        self._held_out, self._told = torch.zeros(()), False
        super().__init__(options, *arguments, settings=settings, **named)
        self._start_step = round(options.architecture_start * self._header.steps)
        self._weights = {
            name: parameter
            for name, parameter in self._trainer.method.named_parameters()
            if parameter.requires_grad
        }

    def _build(self, space: Space, settings: MethodSettings) -> Method[Any]:
        options, architecture = self._cells, self._learner.architecture
        nodes = options.cell_space.family.genotype.nodes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            net = SearchNet(space, nodes, architecture.mix, options.partial_channels)
            return SimClr(net, settings)

    def _step(self, views: Views) -> StepResult:
        """Moves the architecture along the held-out half, then the weights along the other."""
        count = len(views.indices_B)
        training = rows_of(views, slice(0, count // 2), count)
        if self._trainer.step >= self._start_step:
            held_out = rows_of(views, slice(count // 2, count), count)
            self._learner.step(self._gradients(training, held_out), at=self._trainer.step)
        return super()._step(training)

    def _gradients(self, training: Views, held_out: Views) -> list[Tensor]:
        def judged() -> Tensor:
            loss = self._loss(held_out)
            self._held_out = loss.detach()
            return loss

        parameters = self._learner.parameters
        if not self._cells.second_order:
            return first_order(parameters, judged)
        lr = self._settings.schedule.lr_at(self._trainer.step)
        return second_order(
            parameters,
            list(self._weights.values()),
            judged,
            lambda: self._loss(training),
            move=lambda gradients: self._moves(gradients, lr),
            lr=lr,
        )

    def _loss(self, views: Views) -> Tensor:
        method = self._trainer.method
        with self._hardware.autocast():
            return method(views, None, self._network)["loss"]

    def _moves(self, gradients: Sequence[Tensor], lr: float) -> list[Tensor]:
        """Returns what SGD would subtract from the weights, its momentum and decay included."""
        state = self._trainer.optimiser_state()
        moves = []
        for (name, weight), gradient in zip(self._weights.items(), gradients, strict=True):
            decay = self._settings.weight_decay if weight.ndim > 1 else 0.0
            pull = gradient + decay * weight.detach()
            before = state.get(_BEFORE + name)
            moves.append(lr * (pull if before is None else pull + MOMENTUM * before))
        return moves

    def _figures(self, step: int) -> dict[str, float | str]:
        found = discretise(self._learner.architecture)
        told = {**super()._figures(step), "skips_normal": skips(found)}
        if step > self._start_step:
            told["loss_held_out"] = float(self._held_out)
        self._watch(found, step)
        if self._tells_shares(step):
            told |= dict(self._learner.architecture.shares())
        return told

    def _tells_shares(self, step: int) -> bool:
        """Whether a line of the log is the first of all, the first after an epoch, or the last."""
        epoch, before = self._loader.steps_per_epoch, step - self._options.log_steps
        return before <= 0 or step == self._header.steps or step // epoch > before // epoch

    def _watch(self, found: Genotype, step: int) -> None:
        """Says once when the architecture, an epoch or more old, has drifted to skips."""
        collapsed = skips(found) > self._cells.skip_limit
        old = step >= self._start_step + self._loader.steps_per_epoch
        if collapsed and old and not self._told and self._metrics is not None:
            say(f"step {step}: {alarm(found, self._cells.skip_limit)}")
        self._told = collapsed and old

    def _progress(self) -> Mapping[str, Any]:
        return {**super()._progress(), "architecture": self._learner.state()}

    def restore(self, checkpoint: Checkpoint | None) -> None:
        """Goes to where a checkpoint stands, the architecture included."""
        if checkpoint is not None:
            self._learner.restore(checkpoint.header.progress["architecture"])
        super().restore(checkpoint)
