"""What `hwsearch correlate` is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hwsearch.correlation.bins import WIDEST
from hwsearch.distance import DistanceKind
from hwsearch.distance.images import FEWEST
from hwsearch.distance.kinds import Control
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import JudgeName
from hwsearch.evaluate.options import JudgeOptions
from hwsearch.search.options import check_seeds

FEWEST_NETWORKS = 4
"""Networks in a bin below which a rank correlation says nothing."""

Ranked = Literal["auto", DistanceKind, "ridge"]
"""What orders networks: distances, controls, and a regression on sizes that has seen results."""


@dataclass(frozen=True, kw_only=True)
class CorrelateOptions(JudgeOptions):
    """Which networks to rank, by what, and which judge says how good they are."""

    checkpoint: Path
    """Folder that hwsearch train wrote."""

    table: str
    """Latency table whose predictions make the bins: its name, DEVICE/NAME or file."""

    images: str
    """Unlabelled images of the target domain that distances look at and batch norms are calibrated
    on."""

    data: str
    """Labelled images of the same domain that networks are judged by."""

    out: Path
    """Folder of the study; the same command goes on where it was stopped."""

    distances: tuple[Ranked, ...] = ("auto", *get_args(Control), "ridge")
    """What ranks the networks, as in hwsearch search --distance; the first is compared with all
    others. ridge is a regression on depth, width, parameters and latency that has seen the results
    of other networks."""

    teacher: str = "auto"
    """What the first distance compares networks with, as in hwsearch search --teacher; unless that
    is the largest network, the same to it is one more control."""

    foreign: str = ""
    """Unlabelled images of another domain: the first distance on them is one more control."""

    others: tuple[Path, ...] = ()
    """Folders of finished studies of the same networks on other domains: the mean rank that the
    same judge found there is one more control."""

    judge: JudgeName | None = None
    """Who says how good a network is, as in hwsearch probe; linear, or head in dense tasks."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of folds and training; the judge is asked once for each."""

    bins: int = 3
    """Bins of predicted latency, placed evenly by ratio."""

    per_bin: int = 100
    """Networks drawn from each bin."""

    bin_width: float = WIDEST
    """How far a bin's upper edge is above its lower one, as a share, 0.1 at most."""

    stages: tuple[int, ...] = ()
    """Stages whose feature maps a dense distance compares, the finest is 1."""

    max_images: int = 512
    """Most images that distances look at."""

    limit: int | None = None
    """Most labelled images to use."""

    draws: int = 1000
    """Resamples of images and networks that give the intervals."""

    seed: int = 0
    """Seed of the networks that are drawn, of controls and of intervals."""

    tables_dir: Path | None = None
    """Folder of latency tables, looked into first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.bin_width <= WIDEST:
            raise HwsearchError(f"--bin-width {self.bin_width} is not above 0 and up to {WIDEST}")
        least = {
            "bins": 1,
            "per_bin": FEWEST_NETWORKS,
            "draws": 100,
            "max_images": FEWEST,
            "limit": FEWEST,
        }
        for name, fewest in least.items():
            value = getattr(self, name)
            if value is not None and value < fewest:
                flag = "--" + name.replace("_", "-")
                raise HwsearchError(f"{flag} {value} is too small", fix=f"Use {fewest} or more")
        check_seeds("--seed", self.seed)
        check_seeds("--seeds", *self.seeds)
        if not self.seeds or not self.distances:
            raise HwsearchError("--seeds and --distances need a value each")
        if self.distances[0] == "ridge":
            raise HwsearchError(
                "ridge has seen results, so it cannot be what is tested",
                fix="Name a distance first in --distances",
            )

    @property
    def judged_by(self) -> JudgeName:
        """The judge that was asked for, or the one that fits the task."""
        return self.judge or ("linear" if self.task == "classification" else "head")
