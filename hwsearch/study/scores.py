"""The results of a study: how good each network is on each task, for each seed.

Shapes: S networks, K seeds, T tasks, N images of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwsearch.evaluate.verdict import LOWER_IS_BETTER, ClassVerdict
from hwsearch.study.networks import Network
from hwsearch.study.plan import Known, Plan
from hwsearch.study.work import Unit

MEASURES = ("accuracy", "log_loss")
"""What is told of every network and task, the main one first."""

FEWEST_OF_FAMILY = 8
"""Networks of a family below which nothing is told of it alone."""

Verdicts = Mapping[tuple[str, int, str], ClassVerdict]
"""By network, seed and task."""


@dataclass(frozen=True, eq=False)
class Results:
    """What was found out about the networks that have a verdict for every seed and task.

    Attributes:
        networks: S networks.
        seeds: K seeds.
        tasks: Names of T tasks.
        verdicts: On every image.
        failed: Units that failed, with their causes.
    """

    networks: tuple[Network, ...]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    verdicts: Verdicts
    failed: tuple[tuple[Unit, str], ...] = ()

    @classmethod
    def of(cls, plan: Plan, known: Known) -> "Results":
        """Takes from a journal what a plan names; networks that lack a verdict are left out."""
        units = [unit for unit in plan.units() if unit.task is not None]
        lacking = {unit.network for unit in units if not known.has(unit)}
        verdicts = {
            unit.key: ClassVerdict.unpacked(known.rows[unit.key]["verdict"])
            for unit in units
            if unit.network not in lacking
        }
        failed = [(unit, cause) for unit in plan.units() if (cause := known.cause(unit))]
        networks = tuple(one for one in plan.networks if one not in lacking)
        names = tuple(task.name for task in plan.tasks)
        return cls(networks, plan.options.seeds, names, verdicts, tuple(failed))

    @property
    def told_seeds(self) -> str:
        """Says in words how many seeds there are."""
        return "1 seed" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"

    @property
    def families(self) -> Mapping[str, list[int]]:
        """Places of the networks of each family that has `FEWEST_OF_FAMILY` or more."""
        found: dict[str, list[int]] = {}
        for place, network in enumerate(self.networks):
            found.setdefault(network.family, []).append(place)
        return {name: own for name, own in found.items() if len(own) >= FEWEST_OF_FAMILY}

    @cached_property
    def scores(self) -> Mapping[str, np.ndarray]:
        """How good networks are by each measure, higher is better, float[S, K, T]."""
        return {measure: self._scores(measure) for measure in MEASURES}

    def _scores(self, measure: str) -> np.ndarray:
        found = [
            [
                [self.verdicts[net.name, seed, task].score(measure) for task in self.tasks]
                for seed in self.seeds
            ]
            for net in self.networks
        ]
        shape = (len(self.networks), len(self.seeds), len(self.tasks))
        return sign(measure) * np.array(found, dtype=float).reshape(shape)

    def verdicts_of(self, network: Network, task: str) -> Sequence[ClassVerdict]:
        """Returns the verdicts of all seeds."""
        return [self.verdicts[network.name, seed, task] for seed in self.seeds]


def sign(measure: str) -> int:
    """Returns -1 for a measure of which less is better, else 1."""
    return -1 if measure in LOWER_IS_BETTER else 1
