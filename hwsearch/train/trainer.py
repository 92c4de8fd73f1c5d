"""One training step: teacher once, several subnets, one optimiser step, one `after_step`."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from hwsearch.clusters.tree import name_of
from hwsearch.errors import HwsearchError
from hwsearch.nn.processes import gather_rows
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.losses import effective_rank
from hwsearch.selfsup.specialised import Specialised
from hwsearch.space import Space
from hwsearch.train.hardware import Hardware
from hwsearch.train.optimisers import make_optimiser
from hwsearch.train.own_channels import OwnChannels
from hwsearch.train.passes import Passes, PassSettings
from hwsearch.train.schedule import Schedule

COLLAPSED_STD = 0.01
"""Spread of projections below which they count as equal; 1 is the spread of random directions."""
COLLAPSED_STEPS = 200
"""Consecutive steps below that spread after which training stops; where networks take turns, so
many of all, as long as each of them has `FEWEST_COLLAPSED` of its own."""
FEWEST_COLLAPSED = 20
_FRESH_START = "Train again into another --out with a lower --lr, --clip-norm 1 or --amp fp32"


@dataclass(frozen=True)
class StepSettings:
    """What the steps of a run have in common.

    Attributes:
        schedule: Learning rate and networks of each step.
        optimizer: "sgd" or "lars" (momentum 0.9), or "adamw".
        weight_decay: Pull towards zero on weights with two or more dimensions.
        clip_norm: Longest gradient, or None.
        passes: How networks pass a batch.
    """

    schedule: Schedule
    optimizer: str
    weight_decay: float
    clip_norm: float | None
    passes: PassSettings = field(default_factory=PassSettings)


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        losses: Mean loss of each role: "max", "min", "random", or "path"; and "follow" or
            "lesson", if asked for.
        embedding_std: Spread of the first network's projections (1 = random directions, 0 =
            collapsed).
        lr: Learning rate.
    """

    losses: Mapping[str, float]
    embedding_std: float
    lr: float

    @property
    def loss(self) -> float:
        """Sum of the roles' losses."""
        return sum(self.losses.values())


class Trainer:
    """A method, its optimiser and how far they are.

    Args:
        method: On the device and in the memory layout of the hardware.
        space: The method's space.
        settings: What the steps have in common.
        hardware: Where and how to compute.

    Attributes:
        step: Steps done.
    """

    def __init__(
        self, method: Method[Any], space: Space, settings: StepSettings, hardware: Hardware
    ) -> None:
        self.method, self._space = method, space
        self._settings, self._hardware = settings, hardware
        self.step, self._leader = 0, space.maximum
        self._collapsed_steps: dict[str, int] = {}
        self._trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
        self._optimiser = make_optimiser(
            settings.optimizer,
            self._trained.values(),
            settings.weight_decay,
            steady=method.steady_parameters(),
        )
        self._scaler = torch.amp.GradScaler(hardware.device, enabled=hardware.amp == "fp16")
        takes_turns = isinstance(method, Specialised)
        self._own = OwnChannels(method.encoder("online").supernet) if takes_turns else None
        self._passes = Passes(method, space, settings.passes, hardware, self._scaler.scale)

    def run_step(self, views: Views) -> StepResult:
        """Trains on one batch.

        Raises:
            HwsearchError: If the loss is not finite, before any weight is touched, or if the
                projections have been collapsed for long.
        """
        lr = self._settings.schedule.lr_at(self.step)
        networks = list(self._settings.schedule.subnets_at(self.step, self._space))
        self._leader = networks[0][1]
        found = self._passes.run(views, networks)
        if not all(map(isfinite, found.losses.values())):
            told = ", ".join(f"{role} {loss:g}" for role, loss in found.losses.items())
            raise self._diverged(f"the loss ({told}) is", self.step)
        self._update(lr)
        self.method.after_step()
        self.step += 1
        self._watch_for_collapse(found.embedding_std, views)
        return StepResult(found.losses, found.embedding_std, lr)

    def _update(self, lr: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.schedule.steady_lr_at(self.step) if group["steady"] else lr
        if self._settings.clip_norm is not None:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self._trained.values(), self._settings.clip_norm)
        with self._own.alone(self._leader, self._optimiser) if self._own else nullcontext():
            self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)

    def _diverged(self, what: str, step: int) -> HwsearchError:
        lr = self._settings.schedule.lr_at(step)
        message = f"{what} not finite at step {step} (learning rate {lr:g})"
        return HwsearchError(message, fix=_FRESH_START)

    def check_weights(self) -> None:
        """Keeps weights that a finite loss has spoilt out of a checkpoint.

        Raises:
            HwsearchError: If a weight is not finite.
        """
        state = self.method.state_dict().values()
        if not all(torch.stack([value.isfinite().all() for value in state]).tolist()):
            raise self._diverged("weights, which are not saved, are", self.step - 1)

    @torch.no_grad()
    def effective_rank(self, views: Views) -> float:
        """Returns how many directions the projections of a whole batch use.

        They are those of the last step's first network, in training the maximum or a path.

        Raises:
            HwsearchError: If they are not finite.
        """
        with self._hardware.autocast():
            projection_BD = self.method.encoder("online")(views.query_BCHW, self._leader)
        projection_BD = gather_rows(projection_BD)
        if not projection_BD.isfinite().all():
            raise self._diverged("the projections are", self.step - 1)
        return float(effective_rank(projection_BD))

    def _watch_for_collapse(self, embedding_std: float, views: Views) -> None:
        schedule, step = self._settings.schedule, self.step - 1
        node = schedule.node_at(step)
        whose = "" if node is None else f" of node {name_of(node)}"
        if embedding_std >= COLLAPSED_STD:
            self._collapsed_steps.pop(whose, None)
            return
        count = self._collapsed_steps[whose] = self._collapsed_steps.get(whose, 0) + 1
        limit = max(COLLAPSED_STEPS // schedule.nodes_at(step), FEWEST_COLLAPSED)
        if count >= min(limit, COLLAPSED_STEPS):
            raise HwsearchError(
                f"the projections of all images{whose} have been nearly equal for {count} "
                f"steps (spread {embedding_std:.2g}, effective rank "
                f"{self.effective_rank(views):.1f} at step {self.step}): training has collapsed",
                fix=_FRESH_START,
            )

    def optimiser_state(self) -> dict[str, Tensor]:
        """Returns the optimiser's state, by kind of state and name of the parameter."""
        return {
            f"{kind}/{name}": value
            for name, parameter in self._trained.items()
            for kind, value in self._optimiser.state[parameter].items()
        }

    def progress(self) -> dict[str, Any]:
        """Returns the rest of what a later run needs to go on, fit for JSON."""
        return {"collapsed": dict(self._collapsed_steps), "scaler": self._scaler.state_dict()}

    def restore(
        self, step: int, optimiser: Mapping[str, Tensor], progress: Mapping[str, Any]
    ) -> None:
        """Goes on from where another trainer of the same settings stood."""
        self.step, self._collapsed_steps = step, dict(progress.get("collapsed", {}))
        self._scaler.load_state_dict(progress["scaler"])
        for key, value in optimiser.items():
            kind, _, name = key.partition("/")
            parameter = self._trained[name]
            # Adam counts its steps on the CPU wherever the parameters are.
            device = value.device if value.ndim == 0 else parameter.device
            self._optimiser.state[parameter][kind] = value.to(device)
