"""What `hwsearch learn` can be told."""

from dataclasses import dataclass
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.spaces import get_space
from hwsearch.spaces.paths import path_dims
from hwsearch.spaces.precisions import PrecisionSpace
from hwsearch.train.recipe import RunOptions, check_above_zero, check_least, check_most

UNFIT = {
    "simsiam": "falls where a network agrees with itself, which the poorest do best",
    "distil": "needs a teacher, which hwsearch train takes",
}
"""Methods whose loss does not tell networks apart, and why."""


@dataclass(frozen=True, kw_only=True)
class LearnOptions(RunOptions):
    """Options of learning an architecture without labels; those of a run, and of its gates."""

    table: str
    """Latency table of the target: its name, DEVICE/NAME or file."""
    latency_ms: float
    """Latency that the learned network shall have there, in milliseconds."""
    tables_dir: Path | None = None
    """Folder of latency tables, searched first."""
    method: str = "simclr"
    """Self-supervised method whose loss judges networks: byol, densecl, moco-v2, ressl or simclr.
    Those with a teacher cost more: it is as large as the largest network."""
    residual_scale: float = 1.0
    """Scale that residual branches start with: at 0 all networks of a short run are alike."""
    networks: int = 2
    """Networks drawn in a step whose weights are trained."""
    gate_networks: int = 4
    """Networks drawn in a step that are compared on held-out images, forwards only."""
    uniform: float = 0.25
    """Share of the steps, at the start, in which only weights learn and networks are drawn
    uniformly."""
    gate_lr: float | None = None
    """Learning rate of the gates' Adam; by default 30 through the gates' steps, at most 0.1."""
    finalists: int = 16
    """Networks of the target latency that are trained alone for some steps at the end, of which the
    one with the lowest loss is taken; 0 or 1 takes the most probable network."""
    finalist_share: float = 0.1
    """Steps of each finalist, as a share of those that training a network alone takes."""
    confirm: bool = True
    """Measure the learned network at the end, if the table is of this device; if it misses the
    target, so are the next."""
    confirm_minutes: float = 5.0
    """Most time for that."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "networks")
        check_least(self, 2, "gate_networks")
        check_least(self, 0, "uniform", "finalists")
        check_most(self, 0.9, "uniform")
        check_above_zero(self, "latency_ms", "gate_lr", "finalist_share", "confirm_minutes")
        check_most(self, 1, "finalist_share")
        if why := UNFIT.get(self.method):
            raise HwsearchError(
                f"--method {self.method} cannot choose among networks: its loss {why}",
                fix="Use --method simclr, moco-v2, densecl, ressl or byol",
            )
        self._check_space()

    def _check_space(self) -> None:
        space = get_space(self.space)
        if isinstance(space, PrecisionSpace) or path_dims(space):
            kind = "precisions" if isinstance(space, PrecisionSpace) else "paths"
            raise HwsearchError(
                f"a loss on images does not choose among the {kind} of '{self.space}'",
                fix="Use the family without them",
            )
        if space.size == 1:
            raise HwsearchError(
                f"'{self.space}' is one network: there is nothing to learn",
                fix="Use --space with a family, such as bottleneck-32",
            )
