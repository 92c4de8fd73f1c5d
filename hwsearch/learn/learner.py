"""One step of the gates: held-out losses, expected latency, entropy; and an optimiser of their own.

Shapes: D dimensions, M most choices of one, N networks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hwsearch.latency.lookup import LatencyModel
from hwsearch.learn.control import AdditiveLoss
from hwsearch.learn.gates import Gates
from hwsearch.learn.penalty import Multiplier, expected_excess
from hwsearch.space import Space

WARM, COLD = 1.0, 0.02
"""Worth of a nat of entropy, in spreads of the loss, when the gates start and when they end: at
first they stay open, at last they decide."""
TRAVEL = 30.0
"""How far a logit can move in a whole run, unless the learning rate is told."""
FASTEST = 0.1
"""Largest learning rate that is taken unless told."""
SETTLING = 0.2
"""Last share of the gates' steps, in which their learning rate falls to 0."""
_BETAS = (0.9, 0.99)
_NETWORKS, _LATENCIES = range(2)
"""What networks are drawn for, so that draws of equal steps differ."""


@dataclass(frozen=True)
class GateSettings:
    """What decides how gates learn.

    Attributes:
        target_ms: Latency to be expected in the end.
        networks: Networks that are compared on each batch of held-out images, 2 or more.
        start: Step at which the gates begin; until then networks are drawn uniformly.
        steps: Steps of the whole run.
        lr: Learning rate of the logits, or None.
        seed: Of all draws.
    """

    target_ms: float
    networks: int
    start: int
    steps: int
    lr: float | None
    seed: int

    def done(self, step: int) -> float:
        """Returns the share of the gates' steps that is done, 0 to 1."""
        return min(max((step - self.start) / max(self.steps - self.start, 1), 0.0), 1.0)

    def lr_at(self, step: int) -> float:
        """Returns the learning rate of a step."""
        peak = self.lr or min(FASTEST, TRAVEL / max(self.steps - self.start, 1))
        return peak * min(1.0, (1 - self.done(step)) / SETTLING)

    def temperature_at(self, step: int) -> float:
        """Returns what a nat of entropy is worth in a step: from WARM to COLD in equal ratios."""
        return WARM * (COLD / WARM) ** self.done(step)


class GateLearner:
    """Gates, and what moves them; the weights' optimiser knows nothing of them.

    Args:
        space: The networks.
        latency: Tells their latency on the target.
        settings: How they learn.

    Attributes:
        settings: The same.
        gates: Where they stand.
    """

    def __init__(self, space: Space, latency: LatencyModel, settings: GateSettings) -> None:
        self.settings, self._latency = settings, latency
        self.gates = Gates.uniform(space)
        self._control, self._multiplier = AdditiveLoss.empty(self.gates), Multiplier()
        self._alpha_DM = torch.nn.Parameter(torch.from_numpy(self.gates.alpha_DM.copy()))
        self._optimiser = torch.optim.Adam([self._alpha_DM], lr=0.0, betas=_BETAS)

    def draw(self, step: int, count: int) -> np.ndarray:
        """Draws codes int[N, D] of networks for a step's weights: uniformly, later by the gates."""
        rng = np.random.default_rng((self.settings.seed, step))
        gates = self.gates
        if step < self.settings.start:
            gates = Gates.uniform(gates.space)
        return gates.draw(rng, count)

    def learn(
        self, step: int, judge: Callable[[np.ndarray], np.ndarray]
    ) -> dict[str, float] | None:
        """Moves the gates by one step.

        Args:
            step: Steps done before.
            judge: Tells the losses float[N] of networks int[N, D] on one batch of held-out images.

        Returns:
            Figures for the log; None before the gates begin.
        """
        settings, gates = self.settings, self.gates
        if step < settings.start:
            return None
        rng = np.random.default_rng((settings.seed, step, _NETWORKS + 1))
        codes = gates.draw(rng, settings.networks)
        losses = judge(codes)
        rng = np.random.default_rng((settings.seed, step, _LATENCIES + 1))
        expected = expected_excess(self._latency, settings.target_ms, gates, rng)
        force, temperature = self._multiplier.force(expected.excess), settings.temperature_at(step)
        gradient_DM = force * expected.gradient_DM - temperature * gates.entropy_gradient()
        if spread := self._control.spread:
            gradient_DM += self._control.gradient(gates, codes, losses) / spread
        self._control.learn(codes, losses)
        self._move(gradient_DM, settings.lr_at(step))
        self._multiplier.move(expected.excess, settings.lr_at(step))
        return {
            "loss_gates": float(losses.mean()),
            "expected_ms": settings.target_ms * (1 + expected.excess),
            "latency_force": force,
            "entropy": float(gates.entropy_D.mean()),
            "temperature": temperature,
        }

    def _move(self, gradient_DM: np.ndarray, lr: float) -> None:
        self._optimiser.param_groups[0]["lr"] = lr
        self._alpha_DM.grad = torch.from_numpy(gradient_DM)
        self._optimiser.step()
        self.gates = replace(self.gates, alpha_DM=self._alpha_DM.detach().numpy().copy())

    @property
    def parameter(self) -> torch.nn.Parameter:
        """The logits as their optimiser has them."""
        return self._alpha_DM

    def probabilities(self) -> dict[str, float]:
        """Returns the probability of each choice, by "p/dimension=choice", for the log."""
        p_DM = self.gates.p_DM
        return {
            f"p/{dim.name}={choice}": float(p_DM[at, number])
            for at, dim in enumerate(self.gates.space.dims)
            for number, choice in enumerate(dim.choices)
        }

    def state(self) -> dict[str, Any]:
        """Returns all that a later run needs to go on, fit for JSON, exact to the bit."""
        moments = self._optimiser.state[self._alpha_DM]
        return {
            "alpha": self._alpha_DM.tolist(),
            "adam": {name: value.tolist() for name, value in moments.items()},
            "control": self._control.state(),
            "multiplier": self._multiplier.weight,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another learner of the same settings stood."""
        with torch.no_grad():
            self._alpha_DM.copy_(torch.tensor(state["alpha"], dtype=torch.float64))
        self._optimiser.state[self._alpha_DM] = {
            name: torch.tensor(value, dtype=torch.float32 if name == "step" else torch.float64)
            for name, value in state["adam"].items()
        }
        self._control = AdditiveLoss.of_state(state["control"])
        self._multiplier = Multiplier(state["multiplier"])
        self.gates = replace(self.gates, alpha_DM=self._alpha_DM.detach().numpy().copy())
