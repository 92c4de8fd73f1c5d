"""What a search is told, and how it is read again from the folder of a search."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwsearch.distance import DistanceKind, Task
from hwsearch.distance.images import FEWEST
from hwsearch.distance.students import CALIBRATION_IMAGES
from hwsearch.errors import HwsearchError
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

    teacher: str = ""
    """What networks should be close to, instead of the checkpoint's largest network: a model of
    the searched catalogue, the path of an ONNX file, timm:NAME=FILE, or a .py file as train's."""

    distance: Literal["auto", DistanceKind] = "auto"
    """What is compared: trained projections; how similar the images are to each other (relation),
    which fits networks of any origin; which keys of the training's queue an image is like; or how
    places in the image relate (dense). auto takes dense for detection and segmentation, otherwise
    projections where there are some. The other names are controls, such as parameters or naswot:
    what a distance must beat."""

    task: Task = "classification"
    """What the engine is for; decides what the teacher distance compares."""

    stages: tuple[int, ...] = ()
    """Stages whose feature maps a dense distance compares, the finest is 1; left out, the three
    coarsest for detection and the two coarsest for segmentation."""

    evaluations: int = 200
    """Networks whose distance is evaluated; a larger number later continues the search."""

    population: int = 16
    """Networks in a generation."""

    max_images: int = 512
    """Most images that the distance looks at."""

    calibration_images: int = CALIBRATION_IMAGES
    """How many of them batch norms of every network are calibrated on, 512 at most."""

    early_stop: bool = False
    """Stop looking at a network as soon as the images so far show, at 99 % confidence, that
    another one is closer to the teacher and no slower on any device."""

    weights: Weights = "online"
    """Which of the checkpoint's weights: as trained, or their slow average."""

    seed: int = 0
    """Seed of the search."""

    tables_dir: Path | None = None
    """Folder of latency tables, looked into first."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        if not self.tables:
            raise HwsearchError(
                "--tables names no table", fix="Measure this machine with hwsearch profile first"
            )
        if self.population < 4:
            raise HwsearchError("--population must be at least 4")
        if self.evaluations < self.population:
            raise HwsearchError(
                f"--evaluations {self.evaluations} is below --population {self.population}"
            )
        if self.max_images < FEWEST:
            raise HwsearchError(f"--max-images must be at least {FEWEST}")
        if not FEWEST <= self.calibration_images <= CALIBRATION_IMAGES:
            raise HwsearchError(f"--calibration-images must be {FEWEST} to {CALIBRATION_IMAGES}")


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
