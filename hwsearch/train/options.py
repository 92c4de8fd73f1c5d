"""What `hwsearch train` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwsearch.data.augment_options import AugmentOptions
from hwsearch.errors import HwsearchError
from hwsearch.selfsup import check_method
from hwsearch.space import Uniform
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.train.tensorboard import is_installed as tensorboard_is_installed

Optimizer = Literal["sgd", "adamw"]
Amp = Literal["auto", "bf16", "fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of supernet training; the defaults are MoCo v2's (arXiv 2003.04297)."""

    data: str
    """Images without labels: a folder, a quoted glob of .tar shards, or sklearn:digits."""
    space: str
    """Space of networks to train."""
    out: Path
    """Folder for config.toml, metrics.jsonl and the checkpoint."""
    method: str = "moco-v2"
    """Self-supervised method."""
    resume: bool = False
    """Go on from the checkpoint in --out; give the options of the first run again."""
    epochs: int = 200
    """Passes over the images."""
    batch: int = 256
    """Images a step."""
    lr: float | None = None
    """Peak learning rate; by default 0.03 for each 256 images of a batch."""
    optimizer: Optimizer = "sgd"
    """What takes the steps: sgd with momentum 0.9, or adamw, which gets far in few steps."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises; then it falls as a cosine to 0."""
    weight_decay: float = 1e-4
    """Pull towards zero on all weights but norms and biases."""
    clip_norm: float | None = None
    """Longest gradient, as an L2 norm over all weights; without it nothing is clipped."""
    random_subnets: int = 1
    """Networks drawn at random in a step, beside the largest and the smallest."""
    sampling: Uniform = "choices"
    """What random networks are uniform over: the choices of each dimension, or their
    multiply-accumulates, which draws small and large ones more often."""
    residual_scale: float = 0.0
    """Scale that residual branches start with: 0 as in DATA; 1 learns sooner in short runs."""
    queue: int | None = None
    """Older keys that serve as negatives; by default 65,536 or a quarter of the images. 0 takes
    the other images of the batch: short runs collapse with a queue."""
    temperature: float = 0.2
    """Temperature of the contrastive loss."""
    ema: float = 0.999
    """Share of its old weights that the teacher keeps in a step."""
    projection_hidden: int = 2048
    """Hidden units of the projection head; small spaces do with fewer."""
    norm_groups: int = 2
    """Parts of a batch with batch-norm statistics of their own, so that they tell no key."""
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    amp: Amp = "auto"
    """Precision of the arithmetic; auto is bf16 where the hardware has it, else fp32."""
    channels_last: bool = True
    """Hold images with their channels together, which is faster on most hardware."""
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
        check_method(self.method)
        _check_least(self, 1, "epochs", "projection_hidden", "norm_groups", "threads")
        _check_least(self, 1, "checkpoint_steps", "log_steps", "monitor_epochs", "monitor_images")
        _check_least(self, 0, "random_subnets", "weight_decay", "workers", "seed", "queue")
        _check_least(self, 0, "residual_scale", "cache_mb")
        _check_above_zero(self, "lr", "clip_norm", "temperature", "crop_min", "checkpoint_minutes")
        _check_most(self, 1, "crop_min", "warmup", "ema")
        _check_least(self, 0, "warmup", "ema", "max_corrupt_share")
        _check_least(self, 2 * self.norm_groups, "batch")
        if self.batch % self.norm_groups:
            raise HwsearchError(
                f"--batch {self.batch} does not split into {self.norm_groups} equal parts",
                fix="Change --batch or --norm-groups",
            )
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

    def writes_tensorboard(self) -> bool:
        """Says whether curves are written for TensorBoard."""
        return tensorboard_is_installed() if self.tensorboard is None else self.tensorboard

    def augmentation(self) -> AugmentOptions:
        """Returns what the options say about views.

        Raises:
            HwsearchError: If a strength is out of range.
        """
        return AugmentOptions(
            crop_scale=(self.crop_min, self.crop_max),
            crop_shift=self.crop_shift,
            crop_follow=self.crop_follow,
            flip_share=0.5 if self.flip else 0.0,
            jitter=(self.jitter, self.jitter, self.jitter, self.jitter_hue),
            grey_share=self.grey,
            blur_share=self.blur,
        )


def _check_least(options: TrainOptions, least: float, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise _refusal(name, value, f"Use {least:g} or more")


def _check_most(options: TrainOptions, most: float, *names: str) -> None:
    for name in names:
        if not getattr(options, name) <= most:
            raise _refusal(name, getattr(options, name), f"Use {most:g} or less")


def _check_above_zero(options: TrainOptions, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise _refusal(name, value, "Use a number above 0")


def _refusal(name: str, value: object, fix: str) -> HwsearchError:
    return HwsearchError(f"--{name.replace('_', '-')} {value} is out of range", fix=fix)
