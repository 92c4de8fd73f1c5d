"""What `hwsearch study` is told."""

from dataclasses import dataclass
from pathlib import Path

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.evaluate.named import NamedTask, read_tasks
from hwsearch.nn.place import Device
from hwsearch.selfsup.settings import check_given
from hwsearch.study.networks import Network, read_networks
from hwsearch.train.options import TrainOptions
from hwsearch.train.recipe import Amp, Optimizer

METHODS = ("byol", "densecl", "moco-v2", "ressl", "simclr", "simsiam")

RECIPE = (
    *("method", "batch", "lr", "optimizer", "warmup", "weight_decay", "clip_norm"),
    *("residual_scale", "queue", "temperature", "ema", "projection_hidden", "projection"),
    *("predictor_hidden", "crop_min", "flip", "jitter", "grey", "blur"),
)
"""Options that every training takes as they are, and that decide what it gives."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Which networks to train alone on which images, and the tasks that judge them."""

    data: str
    """Images without labels to train every network on: a folder, a quoted glob of .tar shards, or
    sklearn:digits."""

    networks: tuple[str, ...]
    """Networks: 'SPACE:12' takes 12 of a space, evenly over the logarithm of their
    multiply-accumulates, the smallest and the largest among them; 'SPACE[SUBNET]' takes one, such
    as 'basic-32[min]', and 'SPACE[depth1=1+2,depth2=1+2]' every combination."""

    tasks: tuple[str, ...]
    """Labelled images that judge the networks, each as NAME=SOURCE: a folder with a sub-folder a
    class, shards with .cls members, or sklearn:digits."""

    out: Path
    """Folder of the study; the same command goes on where it was stopped, and one with more
    networks, seeds or tasks adds them."""

    seeds: tuple[int, ...] = (0, 1)
    """Seeds of training and folds; each network is trained once for each. The second one tells how
    much of a difference is noise."""

    method: str = "simclr"
    """Self-supervised method: byol, densecl, moco-v2, ressl, simclr or simsiam."""

    epochs: int = 100
    """Passes over the images."""

    steps: int | None = None
    """Steps in place of --epochs: as many whole passes as come nearest, at least one."""

    batch: int = 256
    """Images a step."""

    lr: float | None = None
    """Peak learning rate; the default is that of hwsearch train."""

    optimizer: Optimizer = "sgd"
    """What takes the steps: sgd, lars or adamw."""

    warmup: float = TrainOptions.warmup
    """Share of all steps in which the learning rate rises."""

    weight_decay: float = TrainOptions.weight_decay
    """Pull towards zero on all weights but norms and biases."""

    clip_norm: float | None = None
    """Longest gradient, as an L2 norm over all weights."""

    residual_scale: float = TrainOptions.residual_scale
    """Scale that residual branches start with: 1 learns sooner in short runs."""

    queue: int | None = None
    """Older keys to compare with, as in hwsearch train."""

    temperature: float | None = None
    """Divides the similarities, as in hwsearch train."""

    ema: float | None = None
    """Share of its old weights that a teacher keeps in a step, as in hwsearch train."""

    projection_hidden: int | None = None
    """Hidden units of the projection head, as in hwsearch train."""

    projection: int | None = None
    """Length of a projection, as in hwsearch train."""

    predictor_hidden: int | None = None
    """Hidden units of the predictor, as in hwsearch train."""

    crop_min: float = TrainOptions.crop_min
    """Smallest share of an image's area that a crop keeps."""

    flip: bool = True
    """Mirror half of the views left to right; switch off where left and right matter."""

    jitter: float = TrainOptions.jitter
    """Largest relative change of brightness, contrast and saturation."""

    grey: float = TrainOptions.grey
    """Share of views without colour."""

    blur: float = TrainOptions.blur
    """Share of views that are blurred."""

    device: Device = "auto"
    """Where networks are trained and probed; auto takes a GPU if there is one."""

    amp: Amp = "auto"
    """Precision of the arithmetic for all networks; auto is what hwsearch train takes for the first
    of them."""

    cache_mb: int = TrainOptions.cache_mb
    """Images that fit into so many megabytes are held in memory by each process."""

    checkpoint_minutes: float = 2.0
    """Longest time between checkpoints of a training: what is lost if a process is killed."""

    limit: int = 5000
    """Most labelled images of a task to use."""

    folds: int = 5
    """Parts that the labelled images are split into, by class; each is told by a linear classifier
    on frozen features that has learned from the others."""

    tables: tuple[str, ...] = ()
    """Latency tables, by path, name or DEVICE/NAME, that add the latency of their space's
    networks."""

    tables_dir: Path | None = None
    """Folder of latency tables, looked into first."""

    source_task: str = ""
    """Name of the task with the images of --data: how much its best network loses elsewhere."""

    bins: int = 3
    """Bins of equally many networks, by parameters, in which winners are also told."""

    processes: int | None = None
    """Processes that train and judge, each on one core; by default one a core, or one for a GPU."""

    ray: str = ""
    """Address of a Ray cluster that trains and judges instead; local starts one here. All its
    machines need --data, --tasks and --out at the same paths."""

    dry_run: bool = False
    """Print the plan, the time and the disk that it takes, and do nothing."""

    trial: bool = True
    """Time a few steps and probes first, for an estimate of the whole."""

    retry_failed: bool = False
    """Try again what has failed before."""

    discard_weights: bool = False
    """Remove the weights of all runs when every task has judged them; a task that is added later
    then trains all again."""

    draws: int = 1000
    """Resamples of networks, seeds and images that give the intervals."""

    seed: int = 0
    """Chooses the networks of a space and the resamples."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        least = {"epochs": 1, "steps": 1, "folds": 2, "limit": 20, "bins": 1, "draws": 100}
        for name, fewest in (least | {"processes": 1, "cache_mb": 0, "seed": 0}).items():
            value = getattr(self, name)
            if value is not None and value < fewest:
                flag = "--" + name.replace("_", "-")
                raise HwsearchError(f"{flag} {value} is too small", fix=f"Use {fewest} or more")
        if not (self.networks and self.tasks and self.seeds):
            raise HwsearchError("--networks, --tasks and --seeds need a value each")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise HwsearchError("--seeds are different whole numbers, 0 or more")
        names = [task.name for task in read_tasks(self.tasks)]
        if self.source_task and self.source_task not in names:
            raise unknown_name("--source-task", self.source_task, names)
        first = self.read_networks()[0]
        check_given(self.method, self.train_options(first, 0, Path()).method_options())

    def read_networks(self) -> tuple[Network, ...]:
        """Returns the networks that are named, each once.

        Raises:
            HwsearchError: If a name is no network, or a space has too few.
        """
        return read_networks(self.networks, seed=self.seed)

    def read_tasks(self) -> tuple[NamedTask, ...]:
        """Returns the tasks that are named."""
        return read_tasks(self.tasks)

    def train_options(
        self, network: Network, seed: int, out: Path, *, epochs: int | None = None
    ) -> TrainOptions:
        """Returns the options of one training.

        Args:
            network: What to train.
            seed: Of its weights, order and augmentation.
            out: Its folder.
            epochs: Passes over the images; those of the options if None.
        """
        return TrainOptions(
            data=self.data,
            space=network.name,
            out=out,
            resume=True,
            epochs=epochs or self.epochs,
            seed=seed,
            device=self.device,
            amp=self.amp,
            threads=1,
            workers=0,
            cache_mb=self.cache_mb,
            checkpoint_minutes=self.checkpoint_minutes,
            tensorboard=False,
            **{name: getattr(self, name) for name in RECIPE},
        )
