"""What `hwsearch deploy` is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.deploy.precisions import AUTO, check_precision_name
from hwsearch.distance import Task
from hwsearch.errors import HwsearchError
from hwsearch.search.pick import budget_ms
from hwsearch.selfsup.base import Weights

_OF_SUBNET = ("checkpoint", "images", "teacher", "task", "weights", "max_images")
"""What a search has decided already."""


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """What to deliver: a pick of a search, or one network without any search."""

    out: Path
    """Folder to write the engine to; must not exist."""

    search: Path | None = None
    """Folder of a finished search."""

    pick: str = "knee"
    """Which point of the search's front: knee or index=NUMBER; or evaluation=NUMBER, any network
    that it has looked at, as its report counts them; or fleet, the one network for all devices of
    the search; or max-latency-ms=NUMBER, the closest to the teacher whose engine is within that
    with 95 % probability, as measured (a measurement that is noisy or faster than expected is
    made again, and the slower one counts); as predicted for a device elsewhere."""

    table: str = ""
    """Latency table of the target, by name or path; not needed if the search had one table. After
    a search with --joint, the name of the device: the pick is of all its tables. For a device
    elsewhere, or a runtime that is not installed here, --out becomes a folder that builds, checks
    and measures the engine there."""

    tables_dir: Path | None = None
    """Folder of latency tables, searched first."""

    subnet: str = ""
    """Instead of --search, one network of the table's space: max, min or NAME=VALUE,NAME=VALUE;
    of a catalogue model=NAME. Needs --table, --images and --checkpoint or --teacher."""

    checkpoint: Path | None = None
    """With --subnet: folder that hwsearch train wrote."""

    images: str = ""
    """With --subnet: unlabelled images of the target domain, as search takes them."""

    teacher: str = ""
    """With --subnet: what the network should be close to, as search takes it; left out, the
    checkpoint's largest network, which tells as well whether the engine is what the network is."""

    task: Task = "classification"
    """With --subnet: what the engine is for. For detection and segmentation it gives the feature
    maps of all stages instead of an embedding; after a search, the search's task decides."""

    weights: Weights = "online"
    """With --subnet: weights of the checkpoint, as search takes them."""

    max_images: int = 512
    """With --subnet: most images to look at."""

    labelled: str = ""
    """Labelled images of the target domain: the engine gets a linear classifier that has learned
    from them on its embedding, and tells classes. For detection a COCO file: it gets a small head
    that finds boxes on its feature maps; for segmentation a list of images and label images: one
    that tells the class of each pixel."""

    precision: str = ""
    """Numbers the engine computes in; left out, those of the latency table. auto builds the network
    in each precision that its runtime has a table for on the device, measures these engines side by
    side in one process, tells each one's own distance, and delivers the best: with --pick
    max-latency-ms the closest to the teacher within that, otherwise the fastest that keeps
    --precision-tolerance. int8, fp16, bf16 or fp32 takes that one. The network is picked before,
    as without this option: a search over tables of several precisions has chosen networks for
    each of them, with --joint for all of them together, and max-latency-ms picks from all that it
    was searched in."""

    precision_tolerance: float = 0.05
    """How much further from the teacher than in the most exact precision --precision auto lets an
    engine be, as a share of that one's distance (or of 0.05, where that is less)."""

    dynamic_batch: bool = False
    """Let the engine take any number of images a call; it is measured with the table's batch. For
    onnxruntime and openvino."""

    raw_input: bool = False
    """Let the engine take the image's bytes, uint8[batch, height, width, 3] of its input size, and
    scale and normalise them itself. For onnxruntime, openvino and tensorrt."""

    measure_seconds: float = 10.0
    """Most time for measuring the engine's latency."""

    budget_seconds: float = 60.0
    """Most time for measuring networks that may be within max-latency-ms, before one is built."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        for name in ("measure_seconds", "budget_seconds"):
            if getattr(self, name) <= 0:
                raise HwsearchError(f"--{name.replace('_', '-')} must be above 0")
        check_precision_name(self.precision)
        if not 0 <= self.precision_tolerance < float("inf"):
            raise HwsearchError("--precision-tolerance must be 0 or more")
        if (self.search is None) == (not self.subnet):
            raise HwsearchError(
                "--search or --subnet says what to deliver, one of them",
                fix="Name the folder of a search, or one network with --subnet",
            )
        if self.subnet and not (self.table and self.images):
            raise HwsearchError(
                f"--subnet needs --{'images' if self.table else 'table'} as well",
                fix="Name the latency table of the target, and images of the target domain",
            )

    @classmethod
    def complete(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Refuses what was given and means nothing beside the rest; adds nothing.

        Raises:
            HwsearchError: If there is such an option.
        """
        within = budget_ms(given.get("pick", "")) is not None
        auto = given.get("precision") == AUTO
        rules = (
            (_OF_SUBNET, "search" in given, "beside --search, which has its own"),
            (("pick",), "subnet" in given, "beside --subnet"),
            (("budget_seconds",), not within, "without --pick max-latency-ms"),
            (("precision_tolerance",), not auto, "without --precision auto"),
            (("precision_tolerance",), within, "beside --pick max-latency-ms"),
        )
        for names, idle, why in rules:
            for flag in (f"--{name.replace('_', '-')}" for name in names if name in given):
                if idle:
                    raise HwsearchError(f"{flag} means nothing {why}", fix=f"Leave {flag} out")
        return dict(given)
