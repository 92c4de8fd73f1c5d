"""The architecture as it learns: Adam on its parameters, apart from the weights and their SGD."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hwsearch.errors import HwsearchError
from hwsearch.learn.cells.architecture import Architecture

_BETAS = (0.5, 0.999)
"""As in DARTS."""


class ArchitectureLearner:
    """Moves an architecture along gradients.

    Args:
        architecture: On the device of the weights.
        lr: Adam's learning rate.
        weight_decay: Adam's pull towards equal shares.
    """

    def __init__(self, architecture: Architecture, *, lr: float, weight_decay: float) -> None:
        self.architecture = architecture
        self._parameters = dict(architecture.named_parameters())
        self._adam = torch.optim.Adam(
            self._parameters.values(), lr=lr, betas=_BETAS, weight_decay=weight_decay
        )

    @property
    def parameters(self) -> list[Tensor]:
        """What gradients are taken of, in their order."""
        return list(self._parameters.values())

    def step(self, gradients: Sequence[Tensor], *, at: int) -> None:
        """Takes one step.

        Args:
            gradients: By parameter.
            at: Counts training steps, for the message.

        Raises:
            HwsearchError: If a gradient is not finite; nothing is moved.
        """
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            raise HwsearchError(
                f"a gradient of the architecture is not finite at step {at}; the checkpoint before "
                "it is intact",
                fix="Learn again into another --out with a lower --lr or --architecture-lr, or "
                "--amp fp32",
            )
        for parameter, gradient in zip(self._parameters.values(), gradients, strict=True):
            parameter.grad = gradient.detach().to(parameter.dtype)
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Returns parameters and Adam's memory of them, exact and fit for JSON."""
        return {
            name: {"value": parameter.tolist()}
            | {kind: held.tolist() for kind, held in self._adam.state[parameter].items()}
            for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Goes to where another learner of the same architecture stood."""
        for name, parameter in self._parameters.items():
            held = {kind: torch.tensor(numbers) for kind, numbers in state[name].items()}
            parameter.copy_(held.pop("value"))
            for kind, value in held.items():
                device = value.device if value.ndim == 0 else parameter.device
                self._adam.state[parameter][kind] = value.to(device)
