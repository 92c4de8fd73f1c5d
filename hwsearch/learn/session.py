"""A learning run in memory: each step trains weights on one half, gates on the other.

Shapes: B batch, D dimensions, N networks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwsearch.checkpoint import Checkpoint
from hwsearch.errors import HwsearchError
from hwsearch.learn.learner import GateLearner
from hwsearch.nn.processes import average
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.rows import rows_of
from hwsearch.space import Space, Subnet
from hwsearch.train.schedule import Schedule
from hwsearch.train.session import Session
from hwsearch.train.trainer import StepResult

DRAWN = "drawn"
"""The role of the networks whose weights a step trains."""


@dataclass(frozen=True)
class DrawnSchedule(Schedule):
    """A schedule whose networks are drawn by gates.

    Attributes:
        learner: Of the gates.
    """

    learner: GateLearner

    def subnets_at(self, step: int, space: Space) -> Iterator[tuple[str, Subnet]]:
        """Yields the networks whose weights a step trains."""
        for code in self.learner.draw(step, self.random_subnets):
            yield DRAWN, space.decode(code)


class LearnSession(Session):
    """A session whose gates learn, too.

    Args:
        learner: Of the gates; the schedule of the step settings draws by the same.
        arguments: Those of a session; the order gives `Halves`.
    """

    verb = "learn"

    def __init__(self, learner: GateLearner, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self._learner, self._found = learner, dict[str, float]()

    def _step(self, views: Views) -> StepResult:
        """Trains weights, then gates."""
        count = len(views.indices_B)
        step, half = views.step, count // 2
        result = self._trainer.run_step(rows_of(views, slice(0, half), count))
        held_out = rows_of(views, slice(half, count), count)
        found = self._learner.learn(step, lambda codes: self._judge_codes(held_out, codes))
        self._found = found or {}
        return result

    @torch.no_grad()
    def _judge_codes(self, views: Views, codes: np.ndarray) -> np.ndarray:
        """Tells the losses float[N] of networks int[N, D] on one batch, over all processes."""
        method, space = self._trainer.method, self._learner.gates.space
        found = []
        with self._hardware.autocast():
            targets = method.targets(views)
            for code in codes:
                found.append(method(views, targets, space.decode(code))["loss"].float())
        method.skip_step()
        losses = torch.stack(found)
        average([losses])
        return self._checked(losses.double().cpu().numpy(), views.step)

    def _checked(self, losses: np.ndarray, step: int) -> np.ndarray:
        if np.isfinite(losses).all():
            return losses
        raise HwsearchError(
            f"a held-out loss is not finite at step {step}; the checkpoint before it is intact",
            fix="Learn again into another --out with a lower --lr, --clip-norm 1 or --amp fp32",
        )

    def _figures(self, step: int) -> dict[str, float | str]:
        return {**super()._figures(step), **self._found, **self._learner.probabilities()}

    def _progress(self) -> Mapping[str, Any]:
        return {**super()._progress(), "gates": self._learner.state()}

    def restore(self, checkpoint: Checkpoint | None) -> None:
        """Goes to where a checkpoint stands, gates included."""
        if checkpoint is not None:
            self._learner.restore(checkpoint.header.progress["gates"])
        super().restore(checkpoint)
