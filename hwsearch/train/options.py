"""What `hwsearch train` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwsearch.errors import HwsearchError
from hwsearch.selfsup.settings import DEFAULTS, LED_METHODS, PATH_METHODS, Distil
from hwsearch.space import Uniform
from hwsearch.spaces import get_space
from hwsearch.train.recipe import RunOptions, check_above_zero, check_least


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """Options of supernet training; the recipe's defaults are MoCo v2's (arXiv 2003.04297)."""

    loss_weights: Literal["equal", "macs"] = "equal"
    """Weights of the networks' losses: equal, or in proportion to their multiply-accumulates, so
    that small ones do not pull the weights that all share."""
    follow_max: float = 0.0
    """Weight of a further loss: how far a network's projections are from the largest one's, which
    get no gradient from it."""
    own_target: bool = False
    """Take each network's targets from a teacher of its own shape instead of the largest, which
    costs one more forward pass a network; keys of a queue would be of others, so with --queue 0."""
    random_subnets: int = 1
    """Networks drawn at random in a step, beside the largest and the smallest."""
    sampling: Uniform = "choices"
    """What random networks are uniform over: the choices of each dimension, or their
    multiply-accumulates, which draws small and large ones more often."""
    teacher: str | None = None
    """External teacher that all networks also learn from: timm:NAME=FILE with its weights (or
    timm:NAME if timm has downloaded them before), or a Python file, which is run, that defines
    teacher(), from nothing to a torch.nn.Module that turns images into features [B, E]; SIDE, MEAN
    and STD in it say which images."""
    distil: Distil | None = None
    """What is learned from --teacher: its features, by a projection head (the default), or the
    relations of images to each other, without one."""
    distil_weight: float | None = None
    """Weight of --teacher beside the method's own loss; by default 1."""
    warm_start: Path | None = None
    """Folder of an earlier run whose weights this one starts with; its method's settings are kept,
    its queue of keys is not. With 'NAME^4[max]' as the space of both, it is trained on alone."""
    clusters: Path | None = None
    """Folder of hwsearch cluster on --data by the features of --warm-start: the paths of a space
    such as NAME^4 take turns, each on images of its node, level by level, and follow that run."""
    phases: tuple[int, ...] = ()
    """Passes over the images for each level of --clusters, in place of --epochs; by default all get
    equally many. 0 leaves a level out, but not the last."""
    follow_start: float | None = None
    """Weight of what paths learn from --warm-start, beside the method's own loss; by default 1."""
    shuffle_clusters: bool = False
    """Deal the images to the leaves of --clusters at random: what is left of a gain tells how much
    of it comes from choosing the best of many networks."""

    shrink_paths: bool = False
    """Train smaller networks of each path too: in each step its smallest, and --random-subnets
    others; hwsearch search --fixed then finds the best for a budget."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 0, "random_subnets", "follow_max", "follow_start")
        check_above_zero(self, "distil_weight")
        self._check_teacher()
        self._check_follow_max()
        self._check_own_target()
        self._check_paths()

    def _check_teacher(self) -> None:
        if self.teacher is None and self.method == "distil":
            raise HwsearchError("--method distil learns from a teacher", fix="Give --teacher")
        if self.teacher is None and (self.distil or self.distil_weight):
            raise HwsearchError("--distil and --distil-weight need a teacher", fix="Give --teacher")
        if self.distil_weight and self.method == "distil":
            raise HwsearchError(
                "--distil-weight means nothing to method 'distil'", fix="Leave it out"
            )

    def _check_follow_max(self) -> None:
        if not self.follow_max:
            return
        if self.distil == "relations" and self.method == "distil":
            raise HwsearchError(
                "--follow-max compares projections, and --distil relations has none",
                fix="Leave it out, or use --distil features",
            )
        if get_space(self.space).size == 1:
            raise HwsearchError(
                "--follow-max means nothing to a space of one network", fix="Leave it out"
            )

    def _check_own_target(self) -> None:
        if not self.own_target:
            return
        if self.method not in LED_METHODS:
            raise HwsearchError(
                f"--own-target means nothing to method '{self.method}'",
                fix=f"Leave it out, or use --method {' or '.join(LED_METHODS)}",
            )
        if self.teacher is not None or self.clusters is not None:
            flag = "teacher" if self.clusters is None else "clusters"
            raise HwsearchError(f"--own-target and --{flag} do not go together", fix="Drop one")
        if "queue" in DEFAULTS[self.method] and self.queue != 0:
            raise HwsearchError(
                "--own-target has no use for a queue, whose keys are of other networks",
                fix="Add --queue 0",
            )

    def _check_paths(self) -> None:
        if self.clusters is None:
            asked = (self.phases, self.follow_start is not None)
            if any((*asked, self.shuffle_clusters, self.shrink_paths)):
                raise HwsearchError(
                    "--phases, --follow-start, --shuffle-clusters and --shrink-paths are for the "
                    "paths of a tree",
                    fix="Give --clusters",
                )
        elif self.warm_start is None:
            raise HwsearchError(
                "--clusters needs the run whose features were clustered",
                fix="Give it by --warm-start",
            )
        elif self.method not in PATH_METHODS:
            raise HwsearchError(
                f"--clusters trains no paths by --method {self.method}",
                fix=f"Use --method {' or '.join(PATH_METHODS)}",
            )
        if self.teacher is not None and self.warm_start is not None:
            raise HwsearchError("--teacher and --warm-start do not go together", fix="Drop one")
        if self.clusters is not None and (self.follow_max or self.queue):
            flag = "follow-max" if self.follow_max else "queue"
            raise HwsearchError(
                f"--{flag} means nothing to paths: each step has one network and images of one "
                "node",
                fix="Leave it out",
            )
        if any(epochs < 0 for epochs in self.phases):
            raise HwsearchError("--phases takes no negative numbers", fix="Use 0 or more")
