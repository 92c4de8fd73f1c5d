"""What all sides of a comparison of training speed share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rounds import Seconds, take_turns
from torch import Tensor

from hwsearch.space import Space
from hwsearch.train.hardware import Hardware


@dataclass(frozen=True)
class Setting:
    """What all sides share.

    Attributes:
        space: Family of networks.
        batch: Images a step.
        hardware: Where and in which arithmetic.
        rounds: How often each side is timed.
    """

    space: Space
    batch: int
    hardware: Hardware
    rounds: int

    @property
    def side(self) -> int:
        """Height and width of the images in pixels."""
        return self.space.input_shape[1]

    def settle(self) -> None:
        """Waits for the GPU."""
        if self.hardware.device == "cuda":
            torch.cuda.synchronize()

    def images(self) -> Tensor:
        """Returns random normalised images."""
        x = torch.randn(self.batch, 3, self.side, self.side, device=self.hardware.device)
        return x.contiguous(memory_format=self.hardware.memory_format)

    def placed(self, net: Any) -> Any:
        """Moves a network to the device, in the layout of the images."""
        return net.to(self.hardware.device).to(memory_format=self.hardware.memory_format)

    def time(self, **contestants: Callable[[], object]) -> Seconds:
        """Times contestants in turns."""
        return take_turns(contestants, self.rounds, self.settle)
