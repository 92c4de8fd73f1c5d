"""DenseCL on a supernet: contrast of images and of positions in them (arXiv 2011.09157).

Shapes: B batch, C channels, H W side, E embedding, D projection, P positions, K queue.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.kinds import cost_of
from hwsearch.nn import Features, Supernet
from hwsearch.selfsup.base import Method, Views, Weights, outputs
from hwsearch.selfsup.heads import Encoder, Mlp, MlpShape, in_groups
from hwsearch.selfsup.losses import info_nce
from hwsearch.selfsup.queue import KeyQueue, OtherKeys
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.teacher import EmaTeacher, put_back, shuffled
from hwsearch.space import Subnet

_DENSE_SHARE = 0.5
"""Share of the loss that positions have; images have the rest."""
_DENSE_FROM = 0.1
"""Share of the run after which positions count; before, their matches are those of random weights
and all of an image's positions would be drawn to one."""


class DenseEncoder(nn.Module):
    """An encoder with a second head, for positions of the last feature map.

    Args:
        supernet: The shared backbone.
        shape: Sizes of both heads.
        grid: Positions a side; maps of any size are pooled to that.
    """

    def __init__(self, supernet: Supernet, shape: MlpShape, grid: int) -> None:
        super().__init__()
        self.encoder = Encoder(supernet, shape)
        self.dense = Mlp(_map_width(supernet), shape)
        self.grid = grid

    def forward(
        self, images_BCHW: Tensor, subnet: Subnet, groups: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Computes projections of images [B, D], of length 1, and of positions [B, P, D].

        The pooled features [B, E] come with them.

        Args:
            images_BCHW: Normalised images.
            subnet: Which network to run.
            groups: Parts of the batch, each with batch-norm statistics of its own.
        """

        def run(part_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            features = self.encoder.supernet(part_BCHW, subnet)
            embedding_BE, position_BPC = features.embedding, self._positions(features)
            return self.encoder.project(embedding_BE), self.dense(position_BPC), embedding_BE

        image_BD, position_BPD, embedding_BE = in_groups(run, images_BCHW, groups)
        return image_BD, position_BPD, embedding_BE

    def _positions(self, features: Features) -> Tensor:
        pooled_BCHW = F.adaptive_avg_pool2d(features.levels[-1], self.grid)
        return pooled_BCHW.flatten(2).transpose(1, 2)


def _map_width(supernet: Supernet) -> int:
    """Returns the most channels of the last feature map."""
    blocks = supernet.space.lower(supernet.space.maximum)
    return [cost_of(block).out_shape[0] for block in blocks if block.tap is not None][-1]


@dataclass(frozen=True)
class DenseTargets:
    """What a step's queries are compared with; all L2-normalised, by the teacher.

    Attributes:
        image_BD: Keys of the images.
        position_BPD: Keys of their positions.
        other_images: Keys of other images.
        other_positions: Keys of other images' mean positions.
    """

    image_BD: Tensor
    position_BPD: Tensor
    other_images: OtherKeys
    other_positions: OtherKeys


class DenseCl(Method[DenseTargets]):
    """MoCo v2's contrast, and the same for positions, each with the likest one as its key.

    Positions are matched by their projections: the channels of subnet and teacher differ.

    Args:
        supernet: What to train.
        settings: Heads, grid, temperature, teacher, queue and groups.
    """

    norm = "per-rank"

    def __init__(self, supernet: Supernet, settings: MethodSettings) -> None:
        super().__init__()
        self.settings = settings
        self.maximum = supernet.space.maximum
        shape = MlpShape(settings.projection_hidden, settings.projection)
        self.student = DenseEncoder(supernet, shape, settings.grid)
        self.teacher = EmaTeacher(self.student, settings)
        self.image_queue, self.position_queue = (
            KeyQueue(settings.queue, settings.projection) for _ in range(2)
        )
        self._progress = 0.0

    @torch.no_grad()
    def targets(self, views: Views, leader: Subnet | None = None) -> DenseTargets:
        """Computes the keys with the teacher at the leader."""
        self._progress = views.progress
        images_BCHW, back = shuffled(views)
        leader, groups = leader or self.maximum, self.settings.norm_groups
        keys = self.teacher.module(images_BCHW, leader, groups)
        image_BD, position_BPD, _ = (put_back(key, back) for key in keys)
        mean_BD = F.normalize(position_BPD.mean(1))
        return DenseTargets(
            image_BD,
            F.normalize(position_BPD, dim=-1),
            self.image_queue.others(image_BD, views.indices_B),
            self.position_queue.others(mean_BD, views.indices_B),
        )

    def forward(self, views: Views, targets: DenseTargets, subnet: Subnet) -> dict[str, Tensor]:
        """Computes the contrastive losses of one subnet's images and positions."""
        temperature = self.settings.temperature
        image_BD, position_BPD, embedding_BE = self.student(
            views.query_BCHW, subnet, self.settings.norm_groups
        )
        image_loss = info_nce(image_BD, targets.image_BD, targets.other_images, temperature)
        dense_loss = dense_info_nce(
            F.normalize(position_BPD, dim=-1),
            targets.position_BPD,
            targets.other_positions,
            temperature,
        )
        share = _DENSE_SHARE if views.progress >= _DENSE_FROM else 0.0
        loss = (1 - share) * image_loss + share * dense_loss
        return outputs(loss, image_BD, embedding_BE)

    def after_step(self) -> None:
        """Moves the teacher and enqueues the keys of the step."""
        self.teacher.update(self.student, self._progress)
        self.image_queue.enqueue()
        self.position_queue.enqueue()

    def skip_step(self) -> None:
        """Keeps the keys of the step out of the queues."""
        self.image_queue.drop()
        self.position_queue.drop()

    def encoder(self, weights: Weights) -> Encoder:
        """Returns the trained encoder or its slow copy."""
        return (self.student if weights == "online" else self.teacher.module).encoder


def dense_info_nce(
    query_BPD: Tensor, key_BPD: Tensor, others: OtherKeys, temperature: float
) -> Tensor:
    """InfoNCE of positions; the key of each is the likest position of the other view.

    Args:
        query_BPD: L2-normalised projections that get gradients.
        key_BPD: L2-normalised projections of the other view by the teacher.
        others: Keys of other images.
        temperature: Divides the similarities.

    Returns:
        Mean over all positions of the batch, a scalar.
    """
    with torch.no_grad():
        likest_BP = (query_BPD @ key_BPD.transpose(1, 2)).argmax(2)
        own_BPD = key_BPD.take_along_dim(likest_BP[..., None], dim=1)
    of_image = others.own_BK.repeat_interleave(query_BPD.shape[1], dim=0)
    per_position = OtherKeys(others.keys_KD, of_image)
    return info_nce(query_BPD.flatten(0, 1), own_BPD.flatten(0, 1), per_position, temperature)
