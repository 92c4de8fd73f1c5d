"""What a user says of a table that is to be measured, here or on another device."""

from dataclasses import dataclass

from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_extra
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.timm import SCHEME


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What to measure, how, and for how long."""

    space: str
    """Space of networks; also catalogue:FOLDER of ONNX files and timm:NAME,NAME=WEIGHTS."""

    runtime: str
    """Inference runtime: onnxruntime, openvino, tensorrt, torch or torch-aoti."""

    precision: str = "fp32"
    """Numbers that the engines compute in."""

    batch: int = 1
    """Images a call."""

    threads: int = 0
    """CPU threads a call; 0 means all cores, at most 4."""

    pace: float = 0.0
    """Calls a second, as a camera gives frames; engines rest between and find caches cold. 0
    calls back to back."""

    device: str = ""
    """Name for the machine that is measured; detected on it if left out."""

    budget_minutes: float = 5.0
    """Most time inside the measuring process; building comes on top."""

    evidence: int = 40
    """Whole networks that predictors learn from; of a catalogue all are measured."""

    heldout: int = 20
    """Whole networks that predictors are judged by; none of a catalogue."""

    ships: tuple[str, ...] = ()
    """What ships around the networks and is measured too: heads such as classifier:1000,
    detection:80 or segmentation:21, and preprocessing such as camera:480 (pixels of a frame)."""

    seed: int = 0
    """Seed of the networks that are drawn and of the order of visits."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        for name in ("batch", "budget_minutes", "evidence"):
            if getattr(self, name) <= 0:
                raise HwsearchError(f"--{name.replace('_', '-')} must be above 0")
        for name in ("threads", "heldout", "seed", "pace"):
            if getattr(self, name) < 0:
                raise HwsearchError(f"--{name} must not be below 0")
        for text in self.ships:
            parse_extra(text)

    @property
    def whole(self) -> bool:
        """Whether every network of the space is measured, as those of a catalogue are."""
        return isinstance(get_space(self.space), Catalogue)

    def ready_space(self) -> Space:
        """Returns the space; networks of timm are exported first.

        Raises:
            HwsearchError: If there is no such space or network.
        """
        if self.space.startswith(SCHEME):
            from hwsearch.export.timm import export_timm

            export_timm(self.space)
        return get_space(self.space)
