"""Judges that train the whole network with labels: from inherited weights, or from random ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.data.images import normalise
from hwsearch.distance import SupernetStudents
from hwsearch.distance.controls.fresh import fresh_network
from hwsearch.evaluate.labelled import LabelledImages
from hwsearch.evaluate.temperature import tempered
from hwsearch.evaluate.training import Recipe, train_with_labels
from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.nn import StaticNet, calibrate
from hwsearch.space import Subnet

Start = Callable[[Subnet, int], StaticNet]
"""From a network and a seed to it with the weights that training starts from."""

_BATCH = 256


def inherited(students: SupernetStudents) -> Start:
    """Starts from the weights of the supernet: fine-tuning."""
    return lambda subnet, seed: students.network(subnet)


def random_start(students: SupernetStudents) -> Start:
    """Starts from random weights: training alone."""
    return lambda subnet, seed: fresh_network(students.space, subnet, seed)


@dataclass(frozen=True)
class WholeNetwork:
    """Trains each network as many times as there are folds, each time on all folds but one.

    Attributes:
        start: Where the weights come from.
        images: Labelled images.
        folds: Number of folds.
        recipe: How each training is done; the same for both kinds of start.
    """

    start: Start
    images: LabelledImages
    folds: int
    recipe: Recipe

    def __call__(self, subnet: Subnet, seed: int) -> ClassVerdict:
        """Judges a network; the seed chooses folds, order, views and random weights.

        Probabilities are those after temperature scaling, fold by fold.
        """
        labels = self.images.labels
        folds = self.images.folds(self.folds, seed)
        told_NC = np.empty((len(labels), len(self.images.classes)))
        for fold in range(self.folds):
            asked = folds == fold
            logits_NC = self._tell(subnet, ~asked, asked, seed * self.folds + fold)
            told_NC[asked] = tempered(logits_NC, labels[asked])
        return ClassVerdict.of(told_NC, labels)

    def _tell(self, subnet: Subnet, known: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
        """Trains on known images and returns logits of the ones asked for, float64[N, C]."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = self.start(subnet, seed)
            head = nn.Linear(net.embedding_width, len(self.images.classes))
        pixels = self.images.target.prepared(net.lowered[0].in_side)
        learn = torch.from_numpy(pixels[known]).permute(0, 3, 1, 2).contiguous()
        tell = torch.from_numpy(pixels[asked]).permute(0, 3, 1, 2).contiguous()
        labels = torch.from_numpy(self.images.labels[known]).to(self.recipe.device)

        def loss(logits_BC: Tensor, places: Tensor) -> Tensor:
            return F.cross_entropy(logits_BC, labels[places.to(labels.device)])

        train_with_labels(
            net.requires_grad_(True), head, loss, learn, recipe=self.recipe, seed=seed
        )
        return self._logits(net, head, learn, tell)

    @torch.inference_mode()
    def _logits(
        self, net: StaticNet, head: nn.Linear, learned: Tensor, asked: Tensor
    ) -> np.ndarray:
        """Tells images by a trained network, its batch norms calibrated on what it learned from."""
        device = self.recipe.device
        calibrate(net, (normalise(chunk.to(device)) for chunk in learned.split(_BATCH)))
        chunks = (normalise(chunk.to(device)) for chunk in asked.split(_BATCH))
        logits = torch.cat([head(net(x_BCHW).embedding) for x_BCHW in chunks])
        return logits.double().cpu().numpy()
