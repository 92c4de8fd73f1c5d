"""Detection and segmentation: how the places of each image relate, at several scales.

Shapes: B images, C channels, H W side of a map, G side of the grid, P = G² positions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor

from hwsearch.distance.base import DeliveredDistance, Outputs, one_thread
from hwsearch.distance.students import SeenStudents
from hwsearch.distance.teacher import Teacher, to_grid
from hwsearch.errors import HwsearchError
from hwsearch.space import Subnet

GRID = 14
"""Most positions a side at which maps are compared."""

COARSEST: Mapping[str, int] = {"detection": 3, "segmentation": 2}
"""How many maps a task compares by default, the coarsest ones: those that its usual heads read, a
pyramid of three levels (arXiv 1612.03144), a context head and the one beside it (1706.05587)."""

HELD_BYTES = 256 * 2**20
"""Most memory that relations of the teacher take between networks; more are computed again."""


_TINY = 1e-12
"""Least length that is divided by: a place without any feature is like no other."""


class DenseDistance(DeliveredDistance):
    """Squared distance between rows of relation matrices (DATA, arXiv 2203.09041).

    For each stage a map's columns, one a position, have length 1 over the channels, A = F̂ᵀF̂ tells
    how alike any two positions are, and each of its rows has length 1. Neither the number nor the
    order nor the scale of channels matters. Maps are brought to the teacher's grid first, so that
    networks of other input sides can be compared.

    Args:
        students: The networks.
        teacher: What they are compared with.
        stages: Which feature maps, the finest is 1; their distances are averaged.
        cache: Folder that keeps the teacher's pooled maps, or None to keep them in memory.

    Raises:
        HwsearchError: If the teacher or the networks show no such maps.
    """

    by_image, of_maps = True, True

    def __init__(
        self,
        students: SeenStudents,
        teacher: Teacher,
        stages: Sequence[int],
        *,
        cache: Path | None = None,
    ) -> None:
        _check(students, teacher, stages)
        self.students, self.stages = students, tuple(stages)
        with one_thread():
            self._teacher = teacher.maps(self.stages, GRID, cache)
        self._held: dict[int, list[Tensor]] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        """Returns how many images there are."""
        return len(self.students.images)

    def rows(self, subnet: Subnet) -> Iterator[Tensor]:
        """Yields the distances of one network for each image, batch by batch, [B]."""
        return self._rows(features.levels for features in self.students.observe(subnet))

    def of_outputs(self, batches: Iterable[Outputs]) -> float:
        """Returns the distance of the maps of all stages, [B, C, H, W] each."""
        with one_thread():
            place = self.students.place
            found = self._rows([torch.from_numpy(x).to(place) for x in maps] for maps in batches)
            return float(torch.cat(list(found)).mean())

    @torch.no_grad()
    def _rows(self, batches: Iterable[Sequence[Tensor]]) -> Iterator[Tensor]:
        for part, levels in enumerate(batches):
            compared = [levels[stage - 1] for stage in self.stages]
            pairs = zip(compared, self._relations_of_teacher(part), strict=True)
            yield torch.stack([position_distance(*pair) for pair in pairs]).mean(0).cpu()

    def _relations_of_teacher(self, part: int) -> list[Tensor]:
        if part in self._held:
            return self._held[part]
        maps, place = self._teacher[part], self.students.place
        # Copied: a product of equal matrices is equal to the last bit only in memory aligned alike.
        every = [torch.tensor(maps[str(stage)], device=place) for stage in self.stages]
        found = [position_relations(map_BCGG) for map_BCGG in every]
        size = sum(relations_BPP.nbytes for relations_BPP in found)
        if self._held_bytes + size <= HELD_BYTES:
            self._held[part] = found
            self._held_bytes += size
        return found


def position_distance(level_BCHW: Tensor, teacher_BPP: Tensor) -> Tensor:
    """Compares a feature map with the relations of a teacher.

    Args:
        level_BCHW: A map of any size.
        teacher_BPP: What `position_relations` tells of the teacher's map.

    Returns:
        Squared distance between rows, averaged over rows, [B].
    """
    student_BPP = position_relations(to_grid(level_BCHW, isqrt(teacher_BPP.shape[1])))
    return torch.linalg.vector_norm(student_BPP.sub_(teacher_BPP), dim=2).square_().mean(1)


def position_relations(map_BCGG: Tensor) -> Tensor:
    """Tells how alike any two positions of each image are, in rows of length 1, [B, P, P]."""
    columns_BCP = map_BCGG.flatten(2)
    products_BPP = columns_BCP.transpose(1, 2) @ columns_BCP
    lengths_BP = products_BPP.diagonal(dim1=1, dim2=2).sqrt()
    # The length of its own column is the same for a whole row, and goes when the row gets length 1.
    products_BPP *= lengths_BP.clamp(min=_TINY).reciprocal()[:, None]
    rows_BP1 = torch.linalg.vector_norm(products_BPP, dim=2, keepdim=True)
    return products_BPP.mul_(rows_BP1.clamp_(min=_TINY).reciprocal_())


def default_stages(task: str, levels: int) -> tuple[int, ...]:
    """Returns the stages that a task compares unless told otherwise.

    Args:
        task: "detection" or "segmentation".
        levels: How many feature maps the networks show.
    """
    return tuple(range(max(1, levels - COARSEST[task] + 1), levels + 1))


def _check(students: SeenStudents, teacher: Teacher, stages: Sequence[int]) -> None:
    levels, theirs = students.levels, teacher.levels
    if theirs != levels:
        raise HwsearchError(
            f"the teacher shows {theirs} feature maps and the networks of space "
            f"'{students.space.name}' show {levels}, so that stages do not match",
            fix="Give a --teacher that returns a list of as many maps, or leave it out",
        )
    if beyond := [stage for stage in stages if not 1 <= stage <= levels]:
        raise HwsearchError(
            f"--stages {beyond[0]} does not exist", fix=f"The networks show stages 1 to {levels}"
        )
