"""The passes of a step: all its networks forwards and backwards, in one piece or in several.

Shapes: B batch, D projection, P passes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from hwsearch.kinds import total_macs
from hwsearch.nn.processes import average
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.losses import mean_cosine
from hwsearch.selfsup.rows import rows_of
from hwsearch.space import Space, Subnet
from hwsearch.train.hardware import Hardware
from hwsearch.train.schedule import PATH

LossWeights = Literal["equal", "macs"]
FOLLOW = "follow"
"""The role under which the distance to the maximum's projections is told."""
LESSON = "lesson"
"""That of what networks learn from a frozen one."""


@dataclass(frozen=True)
class PassSettings:
    """What the passes of all steps have in common.

    Attributes:
        loss_weights: "equal", or "macs": in proportion to a network's multiply-accumulates.
        follow_max: Weight of the distance to the maximum's projections.
        accumulate: Pieces that a batch passes in, one after the other.
        own_target: Whether the teacher takes each network's own shape, not the largest one's.
    """

    loss_weights: LossWeights = "equal"
    follow_max: float = 0.0
    accumulate: int = 1
    own_target: bool = False


@dataclass(frozen=True)
class PassResult:
    """What the passes of a step came to, over all processes.

    Attributes:
        losses: Mean loss of each role; and of `FOLLOW`, if networks follow the maximum, or
            `LESSON`, if they follow a frozen one.
        embedding_std: Spread of the first network's projections.
    """

    losses: Mapping[str, float]
    embedding_std: float


class Passes:
    """Adds up the gradients of a step's networks.

    Args:
        method: What gives the losses.
        space: The method's space.
        settings: What all steps have in common.
        hardware: Arithmetic of the forward pass.
        scale: Makes a loss larger for the sake of fp16.
    """

    def __init__(
        self,
        method: Method[Any],
        space: Space,
        settings: PassSettings,
        hardware: Hardware,
        scale: Callable[[Tensor], Tensor],
    ) -> None:
        self._method, self._space = method, space
        self._settings, self._hardware, self._scale = settings, hardware, scale

    def run(self, views: Views, networks: Sequence[tuple[str, Subnet]]) -> PassResult:
        """Computes targets, then every network's gradients; takes means over all processes.

        Args:
            views: This process's images.
            networks: Role and subnet of each pass, the maximum first; or the path of a step, which
                then teaches itself and its smaller ones.
        """
        batch, pieces = len(views.indices_B), self._settings.accumulate
        with self._hardware.autocast():
            targets = self._targets(views, networks)
        weights = self._weights([subnet for _, subnet in networks])
        size, found = batch // pieces, []
        for start in range(0, batch, size):
            rows = slice(start, start + size)
            its = [rows_of(one, rows, batch) for one in targets]
            found.append(self._run_part(rows_of(views, rows, batch), its, networks, weights))
        average([p.grad for p in self._method.parameters() if p.grad is not None])
        return self._result([role for role, _ in networks], torch.stack(found).mean(0))

    def _targets(self, views: Views, networks: Sequence[tuple[str, Subnet]]) -> list[object]:
        """Returns what each network is compared with."""
        if self._settings.own_target:
            return [self._method.targets(views, subnet) for _, subnet in networks]
        return [self._method.targets(views, dict(networks).get(PATH))] * len(networks)

    def _weights(self, subnets: Sequence[Subnet]) -> list[float]:
        """Returns a weight for each loss; their mean is 1."""
        if self._settings.loss_weights == "equal":
            return [1.0] * len(subnets)
        macs = [total_macs(self._space.lower(subnet)) for subnet in subnets]
        return [len(macs) * one / sum(macs) for one in macs]

    def _run_part(
        self,
        views: Views,
        targets: Sequence[object],
        networks: Sequence[tuple[str, Subnet]],
        weights: Sequence[float],
    ) -> Tensor:
        """Returns loss, spread and what it costs not to follow, of each pass, [P, 3]."""
        numbers, followed_BD = [], None
        for (_, subnet), target, weight in zip(networks, targets, weights, strict=True):
            with self._hardware.autocast():
                output = self._method(views, target, subnet)
            loss, distance = output["loss"], output["loss"].new_zeros(())
            if self._method.has_lesson:
                loss, distance = loss - output["lesson"], output["lesson"]
            if self._settings.follow_max and followed_BD is None:
                followed_BD = output["projection"].detach()
            elif followed_BD is not None:
                distance = 1 - mean_cosine(output["projection"], followed_BD)
            weight_beside = 1.0 if self._method.has_lesson else self._settings.follow_max
            total = loss + weight_beside * distance
            self._scale(weight / self._settings.accumulate * total).backward()
            numbers.append(torch.stack([loss, output["embedding_std"], distance]).detach())
        return torch.stack(numbers)

    def _result(self, roles: Sequence[str], numbers_P3: Tensor) -> PassResult:
        # One transfer for all numbers, so that a GPU is waited for once a step; equal on all
        # processes, so that all of them stop if one must.
        average([numbers_P3])
        losses, spreads, distances = numbers_P3.T.tolist()
        means = {
            role: sum(one for name, one in zip(roles, losses, strict=True) if name == role)
            / roles.count(role)
            for role in dict.fromkeys(roles)
        }
        if self._settings.follow_max:
            means[FOLLOW] = sum(distances) / (len(roles) - 1)
        if self._method.has_lesson:
            means[LESSON] = sum(distances) / len(roles)
        return PassResult(means, spreads[0])
