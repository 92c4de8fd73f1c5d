"""What `hwsearch probe` is told: an engine, or networks of a supernet."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hwsearch.distance import Task
from hwsearch.distance.images import FEWEST
from hwsearch.distance.students import CALIBRATION_IMAGES
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.judges import CHEAP, JudgeName, JudgeSettings
from hwsearch.evaluate.training import Recipe
from hwsearch.nn.place import Device, Place, find_place
from hwsearch.search.options import check_seeds
from hwsearch.selfsup.base import Weights

ENGINE_NEIGHBOURS, NEIGHBOURS = 5, 20

LEAST_SIDE = 16
"""Pixels below which maps have no places to tell apart."""

_DENSE = Recipe(epochs=10, batch=8, lr=4e-3)
RECIPES: Mapping[Task, Recipe] = {
    "classification": Recipe(),
    "detection": _DENSE,
    "segmentation": _DENSE,
}
"""How networks and dense heads are trained unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """How judges judge; each option says which ones it is for."""

    folds: int = FOLDS
    """Parts that the labelled images are split into, by class; each is judged by what the others
    taught. 2 costs finetune and alone as much as one training on all images."""

    k: int | None = None
    """Neighbours that vote; 20 where networks are judged, 5 where an engine is."""

    task: Task = "classification"
    """What the labels are: a class an image; boxes (detection); a class a pixel (segmentation)."""

    side: int | None = None
    """Height and width in pixels of the images of dense tasks; each network's own by default. The
    centre square of an image is scaled to it."""

    epochs: int | None = None
    """Passes over the images where a network or a dense head is trained; 20, or 10 in dense
    tasks, where finetune and alone want more."""

    batch: int | None = None
    """Images a step there; 64, or 8 in dense tasks."""

    lr: float | None = None
    """Largest learning rate there (AdamW; it rises and then falls to 0); 0.001, or 0.004 in dense
    tasks."""

    weight_decay: float = Recipe.weight_decay
    """Weight decay there."""

    flip: bool = False
    """Mirror images left to right where whole networks are trained to classify; not where that
    changes the class."""

    device: Device = "auto"
    """Where networks compute, and are trained; auto takes a GPU if there is one."""

    calibration_images: int = CALIBRATION_IMAGES
    """How many images batch norms of every network are calibrated on, 512 at most."""

    weights: Weights = "online"
    """Which of the checkpoint's weights: as trained, or their slow average."""

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise HwsearchError(f"--folds {self.folds} is too small", fix="Use 2 or more")
        if self.side is not None and self.task == "classification":
            raise HwsearchError("--side means nothing to --task classification")
        if self.side is not None and self.side < LEAST_SIDE:
            raise HwsearchError(f"--side {self.side} is too small", fix=f"Use {LEAST_SIDE} or more")
        if self.k is not None and self.k < 1:
            raise HwsearchError(f"--k {self.k} is too small", fix="Use 1 or more")
        if not FEWEST <= self.calibration_images <= CALIBRATION_IMAGES:
            raise HwsearchError(f"--calibration-images must be {FEWEST} to {CALIBRATION_IMAGES}")
        self.settings  # noqa: B018 - refuses a recipe that cannot work

    @property
    def place(self) -> Place:
        """Where networks compute on this machine."""
        return find_place(self.device)

    @property
    def settings(self) -> JudgeSettings:
        """Folds, neighbours and training as judges take them."""
        told = {name: getattr(self, name) for name in ("epochs", "batch", "lr")}
        given = {name: value for name, value in told.items() if value is not None}
        fixed = {"weight_decay": self.weight_decay, "flip": self.flip, "device": self.place}
        recipe = replace(RECIPES[self.task], **fixed | given)
        return JudgeSettings(
            folds=self.folds, k=self.k or NEIGHBOURS, recipe=recipe, side=self.side
        )


OF_ENGINES = ("engine", "train", "test", "seed", "max_corrupt_share", "trust")
OF_BOTH = ("k", "limit")
"""Options that judge an engine, and those that judge networks as well; all others do that alone."""


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(JudgeOptions):
    """What to judge, and with which labels: an engine, or networks of a supernet."""

    engine: Path | None = None
    """Engine folder that hwsearch deploy wrote, to be judged by --train and --test."""

    train: str = ""
    """Labelled images to find an engine's neighbours among: a folder with a sub-folder a class,
    or shards."""

    test: str = ""
    """Labelled images for the engine to classify, of the same classes."""

    checkpoint: Path | None = None
    """Folder that hwsearch train wrote, whose networks are to be judged by --data."""

    subnet: tuple[str, ...] = ()
    """Networks as NAME=VALUE,…, as JSON, max or min."""

    search: Path | None = None
    """Folder of a search, to judge the networks of its fronts."""

    data: str = ""
    """Labelled images to judge networks by, each by a judge that has not seen it: sub-folders or
    shards of classes; for detection a COCO file or a folder of them; for segmentation a list of
    images and label images, or a folder of them."""

    images: str = ""
    """Unlabelled images that batch norms are calibrated on; those of --data by default."""

    judge: tuple[JudgeName, ...] = ()
    """Judges: nearest neighbours or a linear classifier on frozen features (knn, linear), a small
    head on frozen maps for dense tasks (head), or the whole network trained with labels from
    inherited (finetune) or random weights (alone). The cheap ones of the task by default."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of folds and training; every judge is asked once for each."""

    out: Path | None = None
    """Folder for the verdicts on networks; the same command goes on where it was stopped."""

    limit: int | None = None
    """Most images of each set to use."""

    seed: int = 0
    """For an engine: chooses the images that a limit keeps and the weights of the random
    network."""

    max_corrupt_share: float = 0.01
    """Share of an engine's images that may be corrupt before the run stops."""

    trust: bool = False
    """Load an engine that was built on another machine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit is not None and self.limit < 1:
            raise HwsearchError(f"--limit {self.limit} is too small", fix="Use 1 or more")
        check_seeds("--seed", self.seed)
        check_seeds("--seeds", *self.seeds)
        if self.engine is None:
            self._check_networks()
            return
        self._refuse("--engine", {one.name for one in fields(self)} - {*OF_ENGINES, *OF_BOTH})
        self._need("--engine", ("train", "test"))

    def _check_networks(self) -> None:
        if self.checkpoint is None and self.search is None:
            raise HwsearchError(
                "--engine or --checkpoint must be given", fix="See hwsearch probe --help"
            )
        self._refuse("--checkpoint", OF_ENGINES)
        self._need("--checkpoint", ("data", "out", "seeds"))
        if not self.subnet and self.search is None:
            raise HwsearchError("no network is named", fix="Give --subnet or --search")

    def _refuse(self, beside: str, names: Collection[str]) -> None:
        for one in fields(self):
            if one.name in names and getattr(self, one.name) != one.default:
                flag = one.name.replace("_", "-")
                raise HwsearchError(
                    f"--{flag} means nothing beside {beside}", fix="See hwsearch probe --help"
                )

    def _need(self, beside: str, names: tuple[str, ...]) -> None:
        missing = [f"--{name}" for name in names if not _given(getattr(self, name))]
        if missing:
            raise HwsearchError(
                f"{', '.join(missing)} must be given beside {beside}",
                fix="See hwsearch probe --help",
            )

    @property
    def judges(self) -> tuple[JudgeName, ...]:
        """The judges that were asked for, or the cheap ones of the task."""
        return self.judge or CHEAP[self.task]

    @property
    def neighbours(self) -> int:
        """Neighbours that vote on an engine's features."""
        return self.k or ENGINE_NEIGHBOURS


def _given(value: Any) -> bool:  # noqa: ANN401 - any option
    return value is not None and value not in ("", ())
