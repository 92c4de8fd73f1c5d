"""Judges by name: each says how good networks of a supernet are on labelled images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from hwsearch.distance import SupernetStudents, Task
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.coco import load_boxes
from hwsearch.evaluate.dense.detection import Detection
from hwsearch.evaluate.dense.judge import DenseJudge, Kind
from hwsearch.evaluate.dense.masks import load_masks
from hwsearch.evaluate.dense.segmentation import Segmentation
from hwsearch.evaluate.dense.task import DenseTask
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.frozen import FrozenFeatures, on_frozen
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import PENALTIES, linear_head
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.training import Recipe
from hwsearch.evaluate.verdict import Verdict
from hwsearch.evaluate.whole import Start, WholeNetwork, inherited, random_start
from hwsearch.space import Subnet

JudgeName = Literal["knn", "linear", "head", "finetune", "alone"]
"""Nearest neighbours, a linear head, or a dense task's head on frozen features; the whole network
trained with labels, from inherited or from random weights."""

OF_TASK: Mapping[Task, tuple[JudgeName, ...]] = {
    "classification": ("knn", "linear", "finetune", "alone"),
    "detection": ("head", "finetune", "alone"),
    "segmentation": ("head", "finetune", "alone"),
}
"""Judges of each task."""

CHEAP: Mapping[Task, tuple[JudgeName, ...]] = {
    "classification": ("knn", "linear"),
    "detection": ("head",),
    "segmentation": ("head",),
}
"""Those which leave the network as it is."""

Data = LabelledImages | DenseTask
"""Images with labels of one of the tasks."""

Judge = Callable[[Subnet, int], Verdict]
"""From a network and a seed to a verdict on all labelled images."""


@dataclass(frozen=True)
class JudgeSettings:
    """What decides the verdicts of judges, beside networks and images.

    Attributes:
        folds: Parts that the images are split into; each is judged by what the others taught.
        k: Neighbours that vote.
        recipe: How whole networks, or heads of dense tasks, are trained.
        side: Height and width in pixels of the images of dense tasks; each network's own if None.
    """

    folds: int = FOLDS
    k: int = 20
    recipe: Recipe = field(default_factory=Recipe)
    side: int | None = None

    def told(self) -> dict[str, Any]:
        """Returns all of it, for the header of a journal."""
        fixed = {"folds": self.folds, "k": self.k, "penalties": PENALTIES, "side": self.side}
        return fixed | asdict(self.recipe)


def load_data(task: Task, source: str, side: int, *, limit: int | None = None) -> Data:
    """Reads images with the labels of a task.

    Args:
        task: What they are for.
        source: What `--data` takes for it.
        side: Height and width in pixels that images are prepared for first.
        limit: Most images.

    Raises:
        HwsearchError: If they cannot be read, or labels are missing.
    """
    match task:
        case "classification":
            return load_labelled(source, side, limit=limit)
        case "detection":
            return Detection(load_boxes(source, side, limit=limit))
        case "segmentation":
            return Segmentation(load_masks(source, side, limit=limit))


def open_judges(
    names: tuple[JudgeName, ...],
    students: SupernetStudents,
    data: Data,
    settings: JudgeSettings,
) -> dict[JudgeName, Judge]:
    """Opens judges, which share frozen features.

    Args:
        names: Which judges.
        students: The networks.
        data: Labelled images.
        settings: Folds, neighbours and training.

    Raises:
        HwsearchError: If a judge is not of the task, or there are too few images.
    """
    known = OF_TASK["classification" if isinstance(data, LabelledImages) else "detection"]
    if foreign := [name for name in names if name not in known]:
        raise HwsearchError(
            f"--judge {foreign[0]} is none of this --task", fix=f"Use {', '.join(known)}"
        )
    if isinstance(data, LabelledImages):
        every = _of_classes(students, data, settings)
    else:
        every = _of_places(students, data, settings)
    return {name: judge for name, judge in every if name in names}


def _of_places(
    students: SupernetStudents, task: DenseTask, settings: JudgeSettings
) -> Iterator[tuple[JudgeName, Judge]]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        told = (settings.side, settings.folds, settings.recipe)
        yield kind, DenseJudge(kind, task, students, *told)


def _of_classes(
    students: SupernetStudents, images: LabelledImages, settings: JudgeSettings
) -> Iterator[tuple[JudgeName, Judge]]:
    images.folds(settings.folds)
    frozen = FrozenFeatures(students, images.target)
    yield "knn", on_frozen(NeighbourHead(settings.k), frozen, images, settings.folds)
    yield "linear", on_frozen(linear_head, frozen, images, settings.folds)
    starts: dict[JudgeName, Start] = {
        "finetune": inherited(students),
        "alone": random_start(students),
    }
    for name, start in starts.items():
        yield name, WholeNetwork(start, images, settings.folds, settings.recipe)
