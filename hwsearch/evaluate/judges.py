"""Judges by name: each says how good networks of a supernet are on labelled images."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hwsearch.distance import SupernetStudents
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.frozen import FrozenFeatures
from hwsearch.evaluate.heads import Head, cross_fit
from hwsearch.evaluate.labelled import LabelledImages
from hwsearch.evaluate.linear import PENALTIES, linear_head
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.training import Recipe
from hwsearch.evaluate.verdict import Verdict
from hwsearch.evaluate.whole import WholeNetwork, inherited, random_start
from hwsearch.space import Subnet

JudgeName = Literal["knn", "linear", "finetune", "alone"]
"""Nearest neighbours and a linear head on frozen features; the whole network trained with labels,
from inherited or from random weights."""

Judge = Callable[[Subnet, int], Verdict]
"""From a network and a seed to a verdict on all labelled images."""


@dataclass(frozen=True)
class JudgeSettings:
    """What decides the verdicts of judges, beside networks and images.

    Attributes:
        folds: Parts that the images are split into; each is judged by what the others taught.
        k: Neighbours that vote.
        recipe: How whole networks are trained.
    """

    folds: int = FOLDS
    k: int = 20
    recipe: Recipe = field(default_factory=Recipe)

    def told(self) -> dict[str, Any]:
        """Returns all of it, for the header of a journal."""
        return {"folds": self.folds, "k": self.k, "penalties": PENALTIES} | asdict(self.recipe)


def open_judges(
    names: tuple[JudgeName, ...],
    students: SupernetStudents,
    images: LabelledImages,
    settings: JudgeSettings,
) -> dict[JudgeName, Judge]:
    """Opens judges, which share frozen features.

    Args:
        names: Which judges.
        students: The networks.
        images: Labelled images.
        settings: Folds, neighbours and training.

    Raises:
        HwsearchError: If a class has fewer images than there are folds.
    """
    images.folds(settings.folds)
    frozen = FrozenFeatures(students, images.target)

    def on_frozen(head: Head) -> Judge:
        def judge(subnet: Subnet, seed: int) -> Verdict:
            folds = images.folds(settings.folds, seed)
            return cross_fit(head, frozen(subnet), images.labels, folds)

        return judge

    def on_whole(start: Callable[[SupernetStudents], Any]) -> Judge:
        return WholeNetwork(start(students), images, settings.folds, settings.recipe)

    opened: dict[JudgeName, Judge] = {
        "knn": on_frozen(NeighbourHead(settings.k)),
        "linear": on_frozen(linear_head),
        "finetune": on_whole(inherited),
        "alone": on_whole(random_start),
    }
    return {name: opened[name] for name in names}
