"""What every run that trains shared weights can be told."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

from hwsearch.data.augment_options import AugmentOptions
from hwsearch.errors import HwsearchError
from hwsearch.nn.place import Device
from hwsearch.selfsup.settings import DEFAULTS, check_given
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.train.tensorboard import is_installed as tensorboard_is_installed

Optimizer = Literal["sgd", "lars", "adamw"]
Amp = Literal["auto", "bf16", "fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Images, space, method and recipe; the defaults are MoCo v2's (arXiv 2003.04297)."""

    data: str
    """Images without labels: a folder, a quoted glob of .tar shards, or sklearn:digits."""
    space: str
    """Space of networks to train."""
    out: Path
    """Folder for config.toml, metrics.jsonl and the checkpoint."""
    method: str = "moco-v2"
    """Self-supervised method: byol, densecl, moco-v2, ressl, simclr or simsiam; or distil, which
    learns from --teacher alone."""
    resume: bool = False
    """Go on from the checkpoint in --out; give the options of the first run again."""
    epochs: int = 200
    """Passes over the images."""
    batch: int = 256
    """Images a step, over all processes: of many, each takes an equal share."""
    lr: float | None = None
    """Peak learning rate; by default 0.03 (sgd; simsiam 0.05), 0.3 (lars; byol 0.2) or 0.001
    (adamw) for each 256 images of a batch."""
    optimizer: Optimizer = "sgd"
    """What takes the steps: sgd with momentum 0.9; lars, the same with steps as long as each
    tensor's weights, for batches of thousands; or adamw, which gets far in few steps."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises; then it falls as a cosine to 0."""
    weight_decay: float = 1e-4
    """Pull towards zero on all weights but norms and biases."""
    clip_norm: float | None = None
    """Longest gradient, as an L2 norm over all weights; without it nothing is clipped."""
    accumulate: int = 1
    """Pieces that a batch passes in, one after the other, to need less memory. Batch norms, and
    losses among the images of a batch, see one piece at a time."""
    residual_scale: float = 0.0
    """Scale that residual branches start with: 0 as in DATA; 1 learns sooner in short runs."""
    queue: int | None = None
    """Older keys to compare with; by default a quarter of the images, at most 65536 (moco-v2,
    densecl) or 131072 (ressl). 0 takes the other images of the batch: short runs collapse with a
    queue."""
    temperature: float | None = None
    """Divides the similarities; by default 0.2 (moco-v2, densecl) or 0.1 (ressl, simclr)."""
    teacher_temperature: float | None = None
    """Divides the similarities of the teacher; by default 0.04 (ressl)."""
    ema: float | None = None
    """Share of its old weights that the teacher keeps in a step; by default 0.999 (moco-v2,
    densecl, ressl) or 0.996 (byol)."""
    ema_end: float | None = None
    """The same at the end, reached as a cosine; by default constant (moco-v2, densecl, ressl) or
    1.0 (byol)."""
    projection_hidden: int | None = None
    """Hidden units of the projection head; by default 2048 (moco-v2, densecl, distil, simclr,
    simsiam) or 4096 (byol, ressl). Small spaces do with fewer."""
    projection: int | None = None
    """Length of a projection; by default 128 (moco-v2, densecl, simclr), 256 (byol), 512 (ressl)
    or 2048 (simsiam)."""
    predictor_hidden: int | None = None
    """Hidden units of the predictor; by default 4096 (byol) or 512 (simsiam)."""
    norm_groups: int | None = None
    """Parts of a batch with batch-norm statistics of their own, so that they tell no key; by
    default 2 (moco-v2, densecl, ressl)."""
    grid: int | None = None
    """Positions a side of the grid of local projections; by default 7 (densecl)."""
    norm: Literal["auto", "per-rank", "sync"] = "auto"
    """Whose images batch norm takes its statistics of, under torchrun: one process's (per-rank), or
    those of all (sync), which does not depend on how many there are; auto is the method's own."""
    max_target: bool = False
    """Compare views with those of the largest network instead of the network's own (simclr)."""
    crop_min: float = 0.2
    """Smallest share of an image's area that a crop keeps."""
    crop_max: float = 1.0
    """Largest share; above 1 a crop reaches over the edges, which are repeated."""
    crop_shift: float = 0.0
    """How far a crop may be moved beyond where it fits, as a share of half the image's side."""
    crop_follow: bool = False
    """Crop around what differs from the ground; for small objects on a plain ground, whose place
    would tell images apart."""
    flip: bool = True
    """Mirror half of the views left to right; switch off where left and right matter."""
    jitter: float = 0.4
    """Largest relative change of brightness, contrast and saturation."""
    jitter_hue: float = 0.1
    """Largest change of hue, in turns."""
    grey: float = 0.2
    """Share of views without colour."""
    blur: float = 0.5
    """Share of views that are blurred."""
    max_corrupt_share: float = 0.01
    """Share of images that may be corrupt before the run stops."""
    seed: int = 0
    """Seed of weights, order, augmentation and random networks."""
    device: Device = "auto"
    """Where to train; auto takes a GPU if there is one."""
    amp: Amp = "auto"
    """Precision of the arithmetic; auto is bf16 where the hardware has it, but fp32 for depthwise
    convolutions on CPUs. For narrow transformers such as vit-32 fp32 is faster there, too."""
    channels_last: bool = True
    """Hold images with their channels together, which is faster on most hardware."""
    checkpoint_activations: bool = False
    """Keep only the inputs of blocks for the backward pass and compute the rest again, where memory
    is short: the largest network of bottleneck-224 keeps 61 MB an image in fp32 instead of 200, and
    takes about a quarter longer; that of inverted-224 keeps 7 MB instead of 132."""
    threads: int | None = None
    """Threads of the CPU; by default as many as there are cores."""
    workers: int | None = None
    """Processes that decode images (0: the run itself); by default as suits the machine."""
    cache_mb: int = 512
    """Images that fit into so many megabytes are decoded once and held in memory."""
    checkpoint_minutes: float = 5.0
    """Longest time between checkpoints."""
    checkpoint_steps: int | None = None
    """Also save a checkpoint each time so many steps are done."""
    log_steps: int = 10
    """Write a line of metrics each time so many steps are done."""
    tensorboard: bool | None = None
    """Also write curves into OUT/tensorboard; by default where that package is installed."""
    monitor: str | None = None
    """Labelled images, as for --data with a sub-folder a class, by which nearest neighbours judge
    the largest, the smallest and one random network as training goes on; nothing learns of them."""
    monitor_epochs: int = 1
    """Judge each time so many epochs are done."""
    monitor_images: int = 2000
    """Most labelled images to use."""

    def __post_init__(self) -> None:
        if isinstance(get_space(self.space), Catalogue):
            raise HwsearchError(
                f"the networks of '{self.space}' share no weights to train",
                fix="Use --space with a family of networks, such as bottleneck-32",
            )
        check_given(self.method, self.method_options())
        check_least(self, 1, "epochs", "projection_hidden", "projection", "predictor_hidden")
        check_least(self, 1, "norm_groups", "grid", "threads", "checkpoint_steps", "log_steps")
        check_least(self, 1, "batch", "accumulate", "monitor_epochs", "monitor_images")
        check_least(self, 0, "weight_decay", "workers", "seed", "queue", "residual_scale")
        check_least(self, 0, "warmup", "ema", "ema_end", "max_corrupt_share", "cache_mb")
        check_above_zero(self, "lr", "clip_norm", "temperature", "teacher_temperature")
        check_above_zero(self, "crop_min", "checkpoint_minutes")
        check_most(self, 1, "crop_min", "warmup", "ema", "ema_end")
        if self.queue is not None and 0 < self.queue < self.batch:
            raise HwsearchError(
                f"--queue {self.queue} does not hold one batch of {self.batch}",
                fix=f"Use --queue {self.batch} or more, or 0 for none",
            )
        if self.tensorboard and not tensorboard_is_installed():
            raise HwsearchError(
                "--tensorboard needs the package tensorboard",
                fix="Install it: pip install 'hwsearch[tensorboard]'",
            )
        self.augmentation()

    def method_options(self) -> dict[str, Any]:
        """Returns what the options say about the method, by name of its settings."""
        names = {name for takes in DEFAULTS.values() for name in takes}
        told = {name: getattr(self, name) for name in sorted(names)}
        return {k: value for k, value in told.items() if value is not None and value is not False}

    def writes_tensorboard(self) -> bool:
        """Says whether curves are written for TensorBoard."""
        return tensorboard_is_installed() if self.tensorboard is None else self.tensorboard

    def augmentation(self) -> AugmentOptions:
        """Returns what the options say about views.

        Raises:
            HwsearchError: If a strength is out of range.
        """
        return AugmentOptions.of_flags(vars(self))


def check_least(options: RunOptions, least: float, *names: str) -> None:
    """Refuses numbers below one."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not least <= value < inf:
            raise _refusal(name, value, f"Use {least:g} or more")


def check_most(options: RunOptions, most: float, *names: str) -> None:
    """Refuses numbers above one."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not value <= most:
            raise _refusal(name, value, f"Use {most:g} or less")


def check_above_zero(options: RunOptions, *names: str) -> None:
    """Refuses 0 and less."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 < value < inf:
            raise _refusal(name, value, "Use a number above 0")


def _refusal(name: str, value: object, fix: str) -> HwsearchError:
    return HwsearchError(f"--{name.replace('_', '-')} {value} is out of range", fix=fix)
