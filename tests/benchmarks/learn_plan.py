"""What learn.py compares, and how every network of it is trained."""

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsearch.learn.target import LatencyTarget
from hwsearch.space import Space
from hwsearch.spaces import get_space

DIGITS = "sklearn:digits"
RECIPE: dict[str, Any] = {
    **{"method": "simclr", "batch": 128, "optimizer": "adamw", "lr": 0.002},
    **{"residual_scale": 1.0, "projection_hidden": 512, "tensorboard": False},
}
SMALL: dict[str, Any] = {"batch": 64, "projection_hidden": 256, "flip": False, "crop_min": 0.4}
"""What differs where the images are scikit-learn's digits."""


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        chosen: The command line.
    """

    chosen: argparse.Namespace

    @property
    def space(self) -> Space:
        """The space that networks are learned and drawn from."""
        return get_space(self.chosen.space)

    @property
    def name(self) -> str:
        """Tells rows of different settings apart."""
        where = "digits" if self.chosen.data == DIGITS else self.chosen.pretrain
        return f"{where}-{self.chosen.space}-{self.chosen.latency_ms:g}ms-{self.chosen.epochs}"

    @cached_property
    def target(self) -> LatencyTarget:
        """Where the latency is to be had."""
        return self.target_on(self.chosen.runtime, self.chosen.latency_ms)

    def table(self, runtime: str) -> str:
        """Names the table of a runtime."""
        return f"{self.chosen.space}-{runtime}-fp32-b1-t1"

    def target_on(self, runtime: str, latency_ms: float) -> LatencyTarget:
        """Opens the table of a runtime."""
        return LatencyTarget.open(self.table(runtime), self.space, latency_ms, tables_dir=None)

    @property
    def images(self) -> str:
        """What networks are trained on."""
        if self.chosen.data == DIGITS:
            return DIGITS
        return f"{self.chosen.data}/{self.chosen.pretrain}/train-*.tar.gz"

    @property
    def tasks(self) -> dict[str, str]:
        """Labelled images that networks are judged by."""
        if self.chosen.data == DIGITS:
            return {"digits": DIGITS}
        return {name: f"{self.chosen.data}/{name}/test-*.tar.gz" for name in self.chosen.tasks}

    def recipe(self, out: Path, seed: int) -> dict[str, Any]:
        """Returns options of every training."""
        small = SMALL if self.chosen.data == DIGITS else {}
        told = {"data": self.images, "out": out, "resume": out.exists(), "seed": seed}
        return RECIPE | small | told | {"epochs": self.chosen.epochs, "device": self.chosen.device}
