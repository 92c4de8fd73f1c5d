"""A head for detection or segmentation on a delivered network, learned from labelled images.

Shapes: B images of a batch, N labelled images, C classes, G side of the head's map, S of the input.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn import functional as F

from hwsearch.data.draws import permutation
from hwsearch.deploy.manifest import Dense, Input, Output
from hwsearch.deploy.originals import Original, inputs_of
from hwsearch.distance import Task
from hwsearch.distance.base import Outputs
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.detection import Detection
from hwsearch.evaluate.dense.judge import Read, train_head
from hwsearch.evaluate.dense.pyramid import PyramidHead, readable
from hwsearch.evaluate.dense.segmentation import Segmentation
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.options import RECIPES
from hwsearch.evaluate.verdict import bootstrap_weights
from hwsearch.export.onnx import export_module
from hwsearch.journal import write_atomic

WEIGHTS_NAME = "head.safetensors"
_FILE = "head.onnx"
_BATCH = 32
_DRAWS = 200


class ToldBoxes(nn.Module):
    """Tells of each place how likely a box of a class has its middle there, and that box."""

    names = ("scores", "boxes")

    def __init__(self, head: PyramidHead, side: int, classes: int) -> None:
        super().__init__()
        self.head, self.side, self.classes = head, side, classes

    def forward(self, *levels: Tensor) -> tuple[Tensor, ...]:
        """Computes scores [B, C, G, G] and left, top, right and bottom [B, 4, G, G] from maps."""
        told = self.head(readable(levels, self.side))
        width, height, right, down = told[:, self.classes :].clamp(0, 1).unbind(1)
        side = told.shape[-1]
        steps = torch.arange(side, dtype=told.dtype)
        x, y = (right + steps) / side, (down + steps[:, None]) / side
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        return told[:, : self.classes].sigmoid(), torch.stack(corners, 1)


class ToldMasks(nn.Module):
    """Tells of each pixel how likely each class is, as logits."""

    names = ("scores",)

    def __init__(self, head: PyramidHead, side: int, classes: int) -> None:
        super().__init__()
        self.head, self.side, self.classes = head, side, classes

    def forward(self, *levels: Tensor) -> tuple[Tensor, ...]:
        """Computes scores [B, C, S, S] from maps."""
        told = self.head(readable(levels, self.side))
        size = (self.side, self.side)
        return (F.interpolate(told, size, mode="bilinear", align_corners=False),)


@dataclass(frozen=True, eq=False)
class DenseHead:
    """What a network is given that is to find boxes or tell the classes of pixels.

    The head computes in floats whatever the network does: it is small, and its numbers are places.

    Attributes:
        task: "detection" or "segmentation".
        data: What the head learns from.
    """

    task: Task
    data: Detection | Segmentation

    def beside(self, original: Original, folder: Path) -> Original:
        """Returns a network with a head that has learned on its feature maps.

        Args:
            original: Gives feature maps.
            folder: Of the engine; gets the weights.
        """
        takes, side = original.takes, original.takes.side
        read = self._reader(original.run, takes)
        every = torch.arange(len(self.data.target))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head = train_head(self.data, read, every, seed=0, recipe=RECIPES[self.task])
        kind = ToldBoxes if self.task == "detection" else ToldMasks
        told = kind(head, side, len(self.data.images.classes)).eval()
        write_atomic(folder / WEIGHTS_NAME, save(head.state_dict()))
        examples = [torch.zeros(takes.batch, *one.shape) for one in original.gives]
        names = [one.name for one in original.gives]
        with warnings.catch_warnings():
            # Which maps are read is decided by their sizes, and these are fixed.
            warnings.simplefilter("ignore", TracerWarning)
            export_module(told, examples, told.names, folder / _FILE, inputs=names)
        with torch.no_grad():
            shapes = [tuple(x.shape[1:]) for x in told(*examples)]

        @torch.no_grad()
        def run(inputs: np.ndarray) -> Outputs:
            maps = original.run(inputs)
            return [*maps, *(x.numpy() for x in told(*map(torch.from_numpy, maps)))]

        more = (Output(name, shape) for name, shape in zip(told.names, shapes, strict=True))
        return replace(original, gives=(*original.gives, *more), run=run, head=folder / _FILE)

    def judge(self, run: Callable[[np.ndarray], Outputs], takes: Input) -> Dense:
        """Judges an engine by its own feature maps, each image by what the others taught.

        Args:
            run: From inputs to the engine's feature maps.
            takes: Its input.

        Raises:
            HwsearchError: If there are too few images.
        """
        count = len(self.data.target)
        if count < FOLDS:
            raise HwsearchError(f"{count} --labelled images are fewer than {FOLDS} folds")
        read = self._reader(run, takes)
        folds = torch.from_numpy(permutation(count, 0) % FOLDS)
        told: dict[int, Tensor] = {}
        for fold in range(FOLDS):
            known, asked = (folds != fold).nonzero()[:, 0], (folds == fold).nonzero()[:, 0]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(fold)
                head = train_head(self.data, read, known, seed=fold, recipe=RECIPES[self.task])
            with torch.inference_mode():
                maps = torch.cat([head(read(places)) for places in asked.split(_BATCH)])
            told |= dict(zip(asked.tolist(), maps, strict=True))
        verdict = self.data.verdict(torch.stack([told[at] for at in range(count)]).numpy())
        (measure,) = verdict.measures
        drawn = verdict.scores(measure, bootstrap_weights(count, _DRAWS, 0))
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Dense(
            task=self.task,
            classes=self.data.images.classes,
            measure=measure,
            quality=verdict.score(measure),
            low=float(low),
            high=float(high),
            images=count,
            images_fingerprint=self.data.fingerprint,
        )

    def _reader(self, run: Callable[[np.ndarray], Outputs], takes: Input) -> Read:
        """Computes the maps of all labelled images once; half precision halves the memory."""
        parts = [
            [level.half() for level in readable([*map(torch.from_numpy, run(x))], takes.side)]
            for x in inputs_of(takes, self.data.target)
        ]
        levels = [torch.cat(level) for level in zip(*parts, strict=True)]
        return lambda places: [level[places].float() for level in levels]
