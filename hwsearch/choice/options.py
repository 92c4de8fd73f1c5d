"""What `hwsearch choose` is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwsearch.distance import DistanceKind
from hwsearch.distance.images import FEWEST
from hwsearch.distance.students import CALIBRATION_IMAGES
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.named import NamedTask, read_tasks
from hwsearch.evaluate.options import NEIGHBOURS
from hwsearch.nn.place import Device
from hwsearch.search.options import check_seeds
from hwsearch.selfsup.base import Weights

FrozenJudge = Literal["knn", "linear"]
"""Judges that leave a network's weights as they are."""


@dataclass(frozen=True, kw_only=True)
class ChooseOptions:
    """For which tasks, devices and budgets to choose, among which networks, and in which ways."""

    checkpoint: Path
    """Folder of the supernet that hwsearch train wrote."""

    tasks: tuple[str, ...]
    """Labelled images of each task, NAME=IMAGES or IMAGES alone: a folder with a sub-folder a
    class, tar shards or sklearn:digits. Labels judge what was chosen; only selectors whose names
    say so see them."""

    tables: tuple[str, ...]
    """Latency tables, by name or path; where --paths or --learned is of another space, that
    space's table of the same device, runtime and precision as well."""

    out: Path
    """Folder of the answers; the same command goes on where it was stopped, and with one more task
    nothing is repeated."""

    tables_dir: Path | None = None
    """Folder of latency tables, searched first."""

    budgets_ms: tuple[float, ...] = ()
    """Latency limits in milliseconds, for every table; by default --budgets of them."""

    budgets: int = 3
    """How many limits for each table, evenly by ratio between the latencies below which lie a
    tenth and all but a tenth of the networks."""

    networks: int = 100
    """How many networks of the supernet are drawn, evenly over the latencies of the first table."""

    selectors: tuple[Literal["auto", DistanceKind], ...] = (
        "auto",
        "relation",
        "parameters",
        "macs",
        "rankme",
    )
    """Distances and controls that choose among them, as in hwsearch search --distance. Beside them
    stand a random choice and, if there are several tasks, the networks that are best on the
    others."""

    teacher: tuple[str, ...] = ("committee",)
    """Other teachers than the checkpoint's largest network, as in hwsearch search --teacher: the
    distance to each is one more selector."""

    paths: Path | None = None
    """Run of hwsearch train --clusters: its networks, routed with and without labels."""

    clusters: Path | None = None
    """The tree that it was trained on."""

    learned: tuple[Path, ...] = ()
    """Runs of one network each, such as hwsearch learn found: the slowest within a limit is its
    choice."""

    judge: FrozenJudge = "linear"
    """Who says how good a network is."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of its folds."""

    folds: int = FOLDS
    """Parts that labelled images are split into, by class; each is judged by what the others
    taught."""

    k: int = NEIGHBOURS
    """Neighbours that vote."""

    weights: Weights = "online"
    """Which of the checkpoints' weights: as trained, or their slow average."""

    device: Device = "auto"
    """Where networks compute; auto takes a GPU if there is one."""

    calibration_images: int = CALIBRATION_IMAGES
    """How many images batch norms of every network are calibrated on, 512 at most."""

    limit: int = 2000
    """Most labelled images of a task."""

    max_images: int = 512
    """Most images that distances look at."""

    draws: int = 300
    """Resamples of images and tasks that give the intervals."""

    seed: int = 0
    """Seed of the networks that are drawn, of controls and of intervals."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        least = {
            "budgets": 1,
            "networks": 4,
            "folds": 2,
            "k": 1,
            "draws": 100,
            "max_images": FEWEST,
            "limit": FEWEST,
        }
        for name, fewest in least.items():
            if (value := getattr(self, name)) < fewest:
                flag = "--" + name.replace("_", "-")
                raise HwsearchError(f"{flag} {value} is too small", fix=f"Use {fewest} or more")
        if not FEWEST <= self.calibration_images <= CALIBRATION_IMAGES:
            raise HwsearchError(f"--calibration-images must be {FEWEST} to {CALIBRATION_IMAGES}")
        for name in ("tasks", "tables", "selectors", "seeds"):
            if not getattr(self, name):
                raise HwsearchError(f"--{name} needs a value")
        check_seeds("--seed", self.seed)
        check_seeds("--seeds", *self.seeds)
        if any(limit <= 0 for limit in self.budgets_ms):
            raise HwsearchError("--budgets-ms must be above 0")
        if (self.paths is None) != (self.clusters is None):
            raise HwsearchError("--paths and --clusters belong together", fix="Give both")
        self.named_tasks  # noqa: B018 - refuses names that cannot be

    @property
    def named_tasks(self) -> tuple[NamedTask, ...]:
        """The tasks with their names."""
        return read_tasks(self.tasks)
