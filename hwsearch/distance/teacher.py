"""The teacher: what a network that others should be close to says of the target images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.cache import Arrays, FeatureCache
from hwsearch.distance.students import SeenStudents, Students, check_finite
from hwsearch.errors import HwsearchError
from hwsearch.space import Subnet


@dataclass(frozen=True)
class Teacher:
    """The network that students should be close to.

    Attributes:
        students: Where it comes from; they look at the same images.
        subnet: Which of them it is.
    """

    students: Students
    subnet: Subnet

    @property
    def fingerprint(self) -> str:
        """Names everything but the images that its features depend on."""
        return self.students.fingerprint(self.subnet)

    def embeddings(self, cache: Path | None) -> np.ndarray:
        """Computes the pooled features of the images, or takes them from the cache.

        Args:
            cache: Folder that keeps them, or None to keep none.

        Returns:
            float32[N, E].

        Raises:
            HwsearchError: If one is not finite.
        """

        def compute() -> Iterator[Arrays]:
            embeddings_NE = np.ascontiguousarray(self.students.embeddings(self.subnet))
            check_finite(embeddings_NE, "the teacher")
            yield {"embedding": embeddings_NE}

        kept = FeatureCache(cache, self._key("embedding"), 1)
        kept.fill(compute)
        return kept[0]["embedding"]

    def maps(self, stages: Sequence[int], grid: int, cache: Path | None) -> FeatureCache:
        """Computes feature maps of the images, or makes sure of those in the cache.

        Args:
            stages: Which of them, the finest is 1.
            grid: Most positions a side; larger maps are pooled.
            cache: Folder that keeps them, or None to keep them in memory.

        Returns:
            A part for each batch: float32[B, C, G, G] by the name of the stage.

        Raises:
            HwsearchError: If a feature is not finite.
        """
        images, students = self.students.images, self._seen

        def compute() -> Iterator[Arrays]:
            for features in students.observe(self.subnet):
                yield {str(stage): _pooled(features.levels[stage - 1], grid) for stage in stages}

        parts = ceil(len(images) / images.batch)
        kept = FeatureCache(cache, self._key(f"maps {list(stages)} {grid}"), parts)
        kept.fill(compute)
        return kept

    @property
    def levels(self) -> int:
        """How many feature maps it shows."""
        return self._seen.levels

    @property
    def _seen(self) -> SeenStudents:
        if isinstance(self.students, SeenStudents):
            return self.students
        raise HwsearchError(
            "a ready ONNX model shows no feature maps, which a dense task compares",
            fix="Leave --teacher out, give a .py file whose teacher returns a list of maps, or "
            "use --task classification",
        )

    def _key(self, what: str) -> dict[str, str]:
        images = self.students.images.fingerprint
        place = {} if self.students.place == "cpu" else {"place": self.students.place}
        return {"teacher": self.fingerprint, "images": images, "features": what} | place


def _pooled(level_BCHW: Tensor, grid: int) -> np.ndarray:
    pooled = to_grid(level_BCHW, min(grid, level_BCHW.shape[-1])).contiguous().cpu().numpy()
    check_finite(pooled, "the teacher")
    return pooled


def to_grid(level_BCHW: Tensor, grid: int) -> Tensor:
    """Brings feature maps to a number of positions a side: pools larger ones, enlarges smaller."""
    if level_BCHW.shape[-1] == grid:
        return level_BCHW
    if level_BCHW.shape[-1] > grid:
        return torch.nn.functional.adaptive_avg_pool2d(level_BCHW, grid)
    return torch.nn.functional.interpolate(level_BCHW, (grid, grid), mode="bilinear")
