"""The loss that trained the supernet, on the target images: needs no distance, only training."""

from collections.abc import Iterator
from copy import deepcopy

import torch

from hwsearch.data.augment_options import AugmentOptions
from hwsearch.distance.controls.views import views_of
from hwsearch.distance.images import BATCH
from hwsearch.distance.students import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.nn.place import Place
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.distil import Distilled, TaughtMethod
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import network_of


class SslLoss:
    """Mean loss of a network over batches of two views, under the statistics of each batch.

    Views are augmented as in training, and the teacher is that of the run. Batches are of
    `BATCH` images, whose number changes what in-batch contrast means.

    Args:
        students: Networks of a run.
        seed: Chooses the views.

    Raises:
        HwsearchError: If the method's loss needs a teacher that is not in the run.
    """

    def __init__(self, students: SupernetStudents, seed: int = 0) -> None:
        method, recipe = students.run.method, students.run.header.recipe
        method = method.method if isinstance(method, Distilled) else method
        if isinstance(method, TaughtMethod):
            raise HwsearchError(
                "--distance ssl-loss needs the external teacher, which no checkpoint holds",
                where=students.run.path,
                fix="Use --distance relation with --teacher",
            )
        self._place: Place = students.place
        self._method = deepcopy(method).to(self._place)
        self._images, self._seed, self._space = students.images, seed, students.space
        self._options = AugmentOptions.of_flags(recipe)
        self._targets = [self._method.targets(views) for views in self._views()]

    @torch.no_grad()
    def __call__(self, subnet: Subnet) -> float:
        """Returns e to the power of a network's loss, which is positive for every method."""
        steps = zip(self._views(), self._targets, strict=True)
        network = network_of(self._space, subnet)
        losses = [self._method(*step, network)["loss"] for step in steps]
        return float(torch.stack(losses).mean().exp())

    def _views(self) -> Iterator[Views]:
        """Makes the same views again: those of all images could fill the memory."""
        return views_of(
            self._images,
            self._method.encoder("online").supernet.space.input_shape[1],
            batch=min(BATCH, len(self._images) // 2 * 2),
            seed=self._seed,
            options=self._options,
            weak_key=self._method.weak_key,
            place=self._place,
        )
