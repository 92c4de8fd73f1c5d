"""What a search is told, and how it is read again from the folder of a search."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwsearch.distance import DistanceKind, Task
from hwsearch.distance.images import FEWEST
from hwsearch.distance.students import CALIBRATION_IMAGES
from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_ships
from hwsearch.nn.place import Device
from hwsearch.search.costs import Against
from hwsearch.search.limits import read_limits
from hwsearch.selfsup.base import Weights

CONFIG = "config.toml"
"""Name of the file that keeps the options in the folder of a search."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to search for, and how long."""

    tables: tuple[str, ...]
    """Latency tables of the devices to search for, by path, name or DEVICE/NAME."""

    images: str
    """Unlabelled images of the target domain: a folder, tar shards or sklearn:digits."""

    out: Path
    """Folder of the search; the same command goes on where it was stopped."""

    checkpoint: Path | None = None
    """Folder that hwsearch train wrote; not needed to search a catalogue with --teacher."""

    teacher: str = "auto"
    """What networks should be close to: max, the checkpoint's largest network; rank, the one whose
    features of the images have the highest effective rank, of the largest and 64 others; committee,
    the eight of highest rank as one; any other network (stem=16,depth1=1,…) or model of what is
    searched, or several with + between them, each of which is compared with the others; the path of
    an ONNX file, timm:NAME=FILE, or a .py file as train's. auto takes a committee where a supernet
    is to classify, otherwise max."""

    distance: Literal["auto", DistanceKind] = "auto"
    """What is compared: trained projections; how similar the images are to each other (relation),
    which fits networks of any origin; how much of the teacher's features is linear in those of the
    network (regression); which keys of the training's queue an image is like; or how places in the
    image relate (dense). auto takes dense for detection and segmentation, regression beside a
    committee, otherwise projections where there are some. The other names are controls, such as
    parameters or naswot: what a distance must beat."""

    task: Task = "classification"
    """What the engine is for; decides what the teacher distance compares."""

    ships: tuple[str, ...] = ()
    """What ships around the network, counted in all its costs: a head such as classifier:1000,
    detection:80 or segmentation:21, and preprocessing such as camera:480 (pixels of a frame)."""

    limit: tuple[str, ...] = ()
    """What networks must keep, such as "latency_ms<=2" "weights_mb<=1.5"; with DEVICE/TABLE: before
    it for one table alone. Others: latency_high_ms (upper end of the 90 % interval), images_per_s,
    macs, peak_memory_mb, energy_mj and distance; >= for the least."""

    fixed: str = ""
    """Values that all networks keep, NAME=VALUE,NAME=VALUE, such as those of the path that hwsearch
    route picked; networks of the checkpoint that are the teacher have them, too."""

    against: tuple[Against, ...] = ("latency_ms",)
    """Costs that each table's front is drawn against, beside the distance; it is printed in the
    order of the first."""

    joint: bool = False
    """Look for one front for each device over all its tables: runtime and precision are chosen
    together with the network. hwsearch deploy takes from it with --table DEVICE."""

    warm: tuple[Path, ...] = ()
    """Folders of earlier searches of the same space: what was measured on the same images, weights
    and teacher is taken over, all else is a hint at where to look."""
    stages: tuple[int, ...] = ()
    """Stages whose feature maps a dense distance compares, the finest is 1; left out, the three
    coarsest for detection and the two coarsest for segmentation."""

    evaluations: int = 200
    """Networks whose distance is evaluated; a larger number later continues the search."""

    batch: int = 4
    """Networks that are chosen together, before the next ones are chosen by what they gave."""

    stop_gain: float = 0.001
    """Stop when the next networks are expected to enlarge what the fronts cover by less than this
    share; 0 goes on to the last evaluation."""

    max_images: int = 512
    """Most images that the distance looks at."""

    calibration_images: int = CALIBRATION_IMAGES
    """How many of them batch norms of every network are calibrated on, 512 at most."""

    early_stop: bool = False
    """Stop looking at a network as soon as the images so far show, at 99 % confidence, that
    another one is closer to the teacher and no slower on any device. For distances that are means
    over images: dense, and projection by a head without batch norms; not beside a committee, nor
    with --confirm, after which another network may lead."""

    weights: Weights = "online"
    """Which of the checkpoint's weights: as trained, or their slow average."""

    device: Device = "auto"
    """Where networks compute; auto takes a GPU if there is one."""

    seed: int = 0
    """Seed of the search."""

    processes: int | None = None
    """Processes that evaluate networks, each on one core (1: the search itself does); by default
    as many as suit the machine and its memory once a search turns out to be long, on a GPU one."""

    confirm: bool = False
    """Measure the networks of each front that is of this device, and correct the predictions of
    all others by it, until the whole front is measured."""

    confirm_minutes: float = 3.0
    """Most time for --confirm, all tables together."""

    ray: str = ""
    """Address of a Ray cluster that evaluates the networks instead; local starts one here."""

    tables_dir: Path | None = None
    """Folder of latency tables, looked into first."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        parse_ships(self.ships)
        read_limits(self.limit)
        if not self.tables:
            raise HwsearchError(
                "--tables names no table", fix="Measure this machine with hwsearch profile first"
            )
        if not self.against or len(set(self.against)) < len(self.against):
            raise HwsearchError("--against names no cost, or one twice", fix="Name each cost once")
        if self.out.resolve() in [folder.resolve() for folder in self.warm]:
            raise HwsearchError("--warm names the folder of --out", fix="Search into another --out")
        if self.batch < 1:
            raise HwsearchError(f"--batch {self.batch} is too small", fix="Use 1 or more")
        if self.evaluations < 2:
            raise HwsearchError(
                f"--evaluations {self.evaluations} is too small", fix="Use 2 or more"
            )
        if not 0 <= self.stop_gain < 1:
            raise HwsearchError(
                f"--stop-gain {self.stop_gain} is not a share below 1", fix="Use 0 to 0.99"
            )
        if self.confirm_minutes <= 0:
            raise HwsearchError("--confirm-minutes must be above 0")
        if self.processes is not None and self.processes < 1:
            raise HwsearchError(f"--processes {self.processes} is too small", fix="Use 1 or more")
        if self.early_stop:
            self._check_early_stop()
        check_seeds("--seed", self.seed)
        if self.max_images < FEWEST:
            raise HwsearchError(f"--max-images must be at least {FEWEST}")
        if not FEWEST <= self.calibration_images <= CALIBRATION_IMAGES:
            raise HwsearchError(f"--calibration-images must be {FEWEST} to {CALIBRATION_IMAGES}")

    def _check_early_stop(self) -> None:
        if self.ray or (self.processes or 1) > 1:
            raise HwsearchError(
                "--early-stop scores one network after the other",
                fix="Leave it out, or --processes and --ray",
            )
        if self.against != ("latency_ms",):
            raise HwsearchError(
                "--early-stop compares networks by latency alone, which --against does not",
                fix="Leave one of them out",
            )
        if self.confirm:
            raise HwsearchError(
                "--early-stop leaves distances unknown that count once --confirm moves the front",
                fix="Leave one of them out",
            )


def check_seeds(flag: str, *seeds: int) -> None:
    """Refuses seeds below 0, which generators do not take.

    Args:
        flag: Where they are from.
        seeds: All of them.

    Raises:
        HwsearchError: If one is below 0.
    """
    if min(seeds, default=0) < 0:
        raise HwsearchError(f"{flag} must be 0 or more, not {min(seeds)}")


def read_options(config: Path, *, out: Path) -> SearchOptions:
    """Reads the options that a search has written.

    Args:
        config: The file.
        out: Where the folder of the search is now.

    Raises:
        HwsearchError: If they are damaged.
    """
    try:
        values: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))
        values |= {"out": out, "tables": tuple(values["tables"])}
        values |= {name: tuple(values.get(name, ())) for name in ("ships", "limit")}
        values["against"] = tuple(values["against"])
        values["warm"] = tuple(map(Path, values.get("warm", ())))
        values["stages"] = tuple(values.get("stages", ()))
        if "checkpoint" in values:
            values["checkpoint"] = Path(values["checkpoint"])
        return SearchOptions(**values)
    except (ValueError, KeyError, TypeError) as cause:
        raise HwsearchError(
            f"the options of the search are damaged: {cause}",
            where=config,
            fix="Run the same hwsearch search again; it repeats no evaluation",
        ) from cause
