"""What all sides of a comparison of training speed share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rounds import Contestants, Seconds, take_turns
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
        peak_tflops: What the device could do at most in that arithmetic; 0 if not known.
    """

    space: Space
    batch: int
    hardware: Hardware
    rounds: int
    peak_tflops: float = 0.0

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

    def speeds(self, seconds: Seconds, macs: float) -> dict[str, dict[str, float]]:
        """Tells images a second and, if the peak is known, which share of it was used.

        Args:
            seconds: Of steps, by contestant.
            macs: Multiply-accumulates for one image of a step; backward takes twice forward's.
        """
        speeds = {}
        for name, values in seconds.items():
            rate = self.batch / float(np.median(values))
            speeds[name] = {"images_per_second": round(rate, 1)}
            if self.peak_tflops:
                speeds[name]["mfu"] = round(2 * macs * rate / (1e12 * self.peak_tflops), 4)
        return speeds

    def peak_memory(self, contestants: Contestants) -> dict[str, int]:
        """Tells the most MiB that each took on a GPU; all that is loaded counts for each."""
        if self.hardware.device != "cuda":
            return {}
        found = {}
        for name, work in contestants.items():
            torch.cuda.reset_peak_memory_stats()
            work()
            found[name] = torch.cuda.max_memory_allocated() >> 20
        return found
