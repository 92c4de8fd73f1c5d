"""What a search over cells can be told."""

from dataclasses import dataclass

from hwsearch.errors import HwsearchError
from hwsearch.kinds.cell import INPUTS
from hwsearch.spaces import get_space
from hwsearch.spaces.cells import WIDTH, CellSpace
from hwsearch.train.recipe import Amp, RunOptions, check_above_zero, check_least, check_most

_UNUSED = ("monitor", "checkpoint_activations", "max_target")
"""What makes no sense for a network of mixtures."""


@dataclass(frozen=True, kw_only=True)
class CellOptions(RunOptions):
    """Options of learning cells without labels; the recipe's defaults are DARTS's."""

    space: str = "cell-32[width=16,depth1=2,depth2=3,depth3=3]"
    """One network of cells: how many and how wide they are while they are learned, with how many
    nodes; what is inside them is not used. The learned cells make a family of the same sizes."""
    method: str = "simclr"
    """What both levels learn from; simclr alone."""
    epochs: int = 50
    """Passes over the images, of which one half teaches weights and one half the architecture."""
    batch: int = 64
    """Images a step, of each half."""
    lr: float | None = 0.025
    """Peak learning rate of the weights."""
    warmup: float = 0.0
    """Share of all steps in which the learning rate rises; then it falls as a cosine to 0."""
    weight_decay: float = 3e-4
    """Pull towards zero on all weights but norms and biases."""
    clip_norm: float | None = 5.0
    """Longest gradient of the weights, as an L2 norm over all of them."""
    architecture_lr: float = 3e-4
    """Learning rate of the architecture's Adam; a search of few steps needs a higher one."""
    architecture_decay: float = 1e-3
    """Pull of the architecture towards equal shares."""
    architecture_start: float = 0.0
    """Share of the steps, at the start, in which only weights learn (PC-DARTS: 0.3)."""
    second_order: bool = False
    """Judge the architecture by the weights that a step of training would give; takes three times
    the passes, in fp32."""
    partial_channels: int = 1
    """Compute one in so many channels of each edge, and let edges compete (PC-DARTS: 4); needs
    less time and memory."""
    skip_limit: int = 2
    """Skip connections in the normal cell above which the search says that it has collapsed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "partial_channels")
        check_least(self, 0, "architecture_decay", "architecture_start", "skip_limit")
        check_most(self, 0.9, "architecture_start")
        check_above_zero(self, "architecture_lr")
        self._check_space()
        self._check_unused()
        if self.second_order and self.optimizer != "sgd":
            raise HwsearchError(
                f"--second-order looks one step of sgd ahead, not of {self.optimizer}",
                fix="Use --optimizer sgd",
            )
        most_precise: tuple[Amp, ...] = ("auto", "fp32")
        if self.second_order and self.amp not in most_precise:
            raise HwsearchError(
                f"--second-order takes small differences, which --amp {self.amp} rounds away",
                fix="Use --amp fp32",
            )

    @property
    def cell_space(self) -> CellSpace:
        """The space, which holds one network."""
        space = get_space(self.space)
        assert isinstance(space, CellSpace)
        return space

    def _check_space(self) -> None:
        space = get_space(self.space)
        if not isinstance(space, CellSpace):
            raise HwsearchError(
                f"the networks of '{self.space}' have no cells",
                fix="Use --space cell-32[max], or leave it out",
            )
        if space.size > 1:
            raise HwsearchError(
                f"'{self.space}' has {space.size} networks: cells are learned in one",
                fix=f"Name one in brackets, such as {self.space}[max]",
            )
        width, parts = int(space.maximum[WIDTH]), self.partial_channels
        if parts > 1 and width % (INPUTS * parts):
            raise HwsearchError(
                f"--partial-channels {parts} does not split {width} channels into even parts",
                fix=f"Use a width of {INPUTS * parts}, {2 * INPUTS * parts} and so on in --space",
            )

    def _check_unused(self) -> None:
        if self.method != "simclr":
            raise HwsearchError("cells are learned by simclr alone", fix="Leave --method out")
        for name in _UNUSED:
            if getattr(self, name):
                flag = name.replace("_", "-")
                raise HwsearchError(f"--{flag} means nothing to cells", fix="Leave it out")
        if self.accumulate > 1:
            raise HwsearchError("--accumulate means nothing to cells", fix="Use a smaller --batch")
        if self.amp == "fp16":
            raise HwsearchError(
                "--amp fp16 loses the gradients of the architecture", fix="Use --amp bf16 or fp32"
            )
