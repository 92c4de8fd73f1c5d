"""What happens in which step: learning rate and networks, both a function of the step."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi

import numpy as np

from hwsearch.space import Space, Subnet, Uniform

PATH = "path"
"""The role of a network that is alone in its step."""


@dataclass(frozen=True)
class Schedule:
    """Learning rate and networks of each step.

    Attributes:
        steps: Steps of the whole run.
        lr: Peak learning rate.
        warmup_steps: Steps in which the learning rate rises.
        random_subnets: Networks drawn at random in a step.
        sampling: What random networks are uniform over.
        seed: Seed of those networks.
    """

    steps: int
    lr: float
    warmup_steps: int
    random_subnets: int
    sampling: Uniform
    seed: int

    def lr_at(self, step: int) -> float:
        """Returns the learning rate of a step: a linear rise, then half a cosine to 0."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        return self.lr * (1 + cos(pi * done)) / 2

    def steady_lr_at(self, step: int) -> float:
        """Returns the learning rate of what keeps it: a linear rise, then the peak."""
        return self.lr_at(step) if step < self.warmup_steps else self.lr

    def subnets_at(self, step: int, space: Space) -> Iterator[tuple[str, Subnet]]:
        """Yields role and network for each pass of a step; random ones depend on the step only.

        A space of one network gets one pass.
        """
        rng = np.random.default_rng((self.seed, step))
        yield "max", space.maximum
        if space.size == 1:
            return
        yield "min", space.minimum
        for _ in range(self.random_subnets):
            yield "random", space.sample(rng, self.sampling)

    def node_at(self, step: int) -> tuple[int, ...] | None:
        """Returns the node of a tree of clusters whose images a step sees, if there is a tree."""
        return None

    def nodes_at(self, step: int) -> int:
        """Returns how many nodes there are of which a step has one; without a tree, 1."""
        return 1

    def sights_before(self, step: int) -> int:
        """Returns how often a step's epoch may have shown its images before; without a tree, 0."""
        return 0
