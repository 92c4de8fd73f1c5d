"""The judge of a dense task: trains a head on frozen maps, or the whole network with it.

Shapes: B images of a batch, N all images, K outputs, G side of the head's map.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hwsearch.data.draws import permutation
from hwsearch.data.images import normalise
from hwsearch.distance import SupernetStudents
from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.pyramid import PyramidHead, readable
from hwsearch.evaluate.dense.task import DenseTask
from hwsearch.evaluate.training import Recipe, batches_of, optimiser_of
from hwsearch.evaluate.verdict import Verdict
from hwsearch.kinds import layers_of
from hwsearch.layers import Position
from hwsearch.nn import StaticNet, calibrate
from hwsearch.space import Subnet

Kind = Literal["head", "finetune", "alone"]
"""A head on frozen maps; the whole network from inherited weights, or from random ones."""

Read = Callable[[Tensor], list[Tensor]]
"""From places of images, int64[B], to the maps of them that a head reads."""

_BATCH = 32


def train_head(
    task: DenseTask,
    read: Read,
    known: Tensor,
    *,
    seed: int,
    recipe: Recipe,
    net: nn.Module | None = None,
) -> PyramidHead:
    """Returns a head in evaluation mode that has learned from some images.

    Args:
        task: What is told.
        read: Gives what the head reads.
        known: Places of the images, int64[n].
        seed: Of the order; the head starts from the state of torch's generator.
        recipe: How it is trained.
        net: What `read` runs, if it is to be trained with the head.
    """
    with torch.no_grad():
        channels = [level.shape[1] for level in read(known[:1].repeat(2))]
    head = PyramidHead(channels, len(task.bias), task.bias).to(recipe.device)
    both = nn.ModuleList([head] if net is None else [net, head]).train()
    optimiser, schedule = optimiser_of(both, len(known), recipe)
    with torch.enable_grad():
        for _, rows in batches_of(len(known), recipe, seed):
            places = known[rows]
            optimiser.zero_grad()
            task.loss(head(read(places)), places).backward()
            optimiser.step()
            schedule.step()
    return head.eval()


@dataclass(frozen=True, eq=False)
class DenseJudge:
    """Tells each image by a head that learned from the other folds; see `DenseTask`.

    Attributes:
        kind: What is trained.
        task: What is told.
        students: The networks; the cheap kind calibrates them at the judge's side.
        side: Height and width of the images in pixels, or None for each network's own.
        folds: Number of folds.
        recipe: How each training is done.
    """

    kind: Kind
    task: DenseTask
    students: SupernetStudents
    side: int | None
    folds: int
    recipe: Recipe

    def __post_init__(self) -> None:
        if len(self.task.target) < self.folds:
            raise HwsearchError(
                f"{len(self.task.target)} images are fewer than {self.folds} folds",
                fix="Give more --data, or use fewer --folds",
            )

    def __call__(self, subnet: Subnet, seed: int) -> Verdict:
        """Judges a network; the seed chooses folds, order and random weights."""
        count = len(self.task.target)
        folds = torch.from_numpy(permutation(count, seed) % self.folds)
        frozen = self._frozen(subnet) if self.kind == "head" else None
        told: list[Tensor | None] = [None] * count
        for fold in range(self.folds):
            known, asked = (folds != fold).nonzero()[:, 0], (folds == fold).nonzero()[:, 0]
            maps = self._tell(subnet, frozen, known, asked, seed * self.folds + fold)
            for place, map_KGG in zip(asked.tolist(), maps, strict=True):
                told[place] = map_KGG
        return self.task.verdict(torch.stack([one for one in told if one is not None]).numpy())

    def _tell(
        self, subnet: Subnet, frozen: Read | None, known: Tensor, asked: Tensor, seed: int
    ) -> Tensor:
        """Learns from known images and tells the ones asked for, [n, K, G, G]."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = None if frozen else self._start(subnet, seed)
            read = frozen or self._reader(net)
            head = train_head(self.task, read, known, seed=seed, recipe=self.recipe, net=net)
        with torch.inference_mode():
            if net is not None:
                calibrate(net, self._inputs(subnet, known.numpy()))
            return torch.cat([head(read(places)).float().cpu() for places in asked.split(_BATCH)])

    def _start(self, subnet: Subnet, seed: int) -> StaticNet:
        """Returns the network that training starts from."""
        if self.kind == "alone":
            net = fresh_network(self.students.space, subnet, seed)
        else:
            net = self.students.run.supernet(self.students.weights).extract(subnet)
        return net.requires_grad_(True).to(self.recipe.device)

    def _reader(self, net: StaticNet | None) -> Read:
        assert net is not None
        side = self._side(net)
        pixels = torch.from_numpy(self.task.target.prepared(side))

        def read(places: Tensor) -> list[Tensor]:
            x_BCHW = normalise(pixels[places].permute(0, 3, 1, 2).to(self.recipe.device))
            return readable(net(x_BCHW).levels, side)

        return read

    @torch.inference_mode()
    def _frozen(self, subnet: Subnet) -> Read:
        """Computes all maps of an inherited network once; half precision halves the memory."""
        net = self.students.run.supernet(self.students.weights).extract(subnet)
        side = self._side(net)
        images, count = self.students.images, self.students.calibration_images
        batch = self.students.calibration_batch
        inputs = images.inputs(side, batch=batch, limit=count)
        calibrate(net.to(self.students.place), map(self.students.placed, inputs))
        maps = self._maps(net, side)
        return lambda places: [level[places].to(self.recipe.device).float() for level in maps]

    def _maps(self, net: StaticNet, side: int) -> list[Tensor]:
        inputs = self.task.target.inputs(side, batch=_BATCH)
        every = [
            [level.half().cpu() for level in readable(net(self.students.placed(x)).levels, side)]
            for x in inputs
        ]
        maps = [torch.cat(level) for level in zip(*every, strict=True)]
        if not all(level.isfinite().all() for level in maps):
            raise HwsearchError(
                "some features are not finite",
                fix="Check the checkpoint; training may have diverged",
            )
        return maps

    def _inputs(self, subnet: Subnet, places: np.ndarray) -> Iterator[Tensor]:
        """Yields normalised images of some places, batch by batch."""
        side = self.side or self.students.space.input_side(subnet)
        pixels = torch.from_numpy(self.task.target.prepared(side)[places])
        for chunk in pixels.permute(0, 3, 1, 2).split(_BATCH):
            yield normalise(chunk.to(self.recipe.device))

    def _side(self, net: StaticNet) -> int:
        """Returns the side of the images; a network with learned places takes its own alone."""
        own = net.lowered[0].in_side
        layers: Sequence[object] = [layer for block in net.lowered for layer in layers_of(block)]
        if self.side not in (None, own) and any(isinstance(one, Position) for one in layers):
            raise HwsearchError(
                f"networks of space '{self.students.space.name}' take images of {own} pixels only",
                fix="Leave --side out",
            )
        return self.side or own
