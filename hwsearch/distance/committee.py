"""A committee: several networks as one teacher, whose features stand side by side.

What one network sees by chance, the others outvote; what they have in common is left.

Shapes: B images of a batch, N all target images, C channels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hwsearch.distance.dense import GRID
from hwsearch.distance.images import TargetImages
from hwsearch.distance.students import Students, hash_of_parts, seen_students
from hwsearch.distance.teacher import to_grid
from hwsearch.nn.features import Features
from hwsearch.nn.place import Place
from hwsearch.space import Space, Subnet
from hwsearch.spaces.precisions import network_of


class Committee:
    """One teacher of several networks, whatever subnet is asked for.

    Args:
        students: Where the networks come from.
        members: Which of them; each counts alike.
    """

    def __init__(self, students: Students, members: Sequence[Subnet]) -> None:
        self._students, self.members = students, tuple(members)
        self._told: dict[Subnet, np.ndarray] = {}

    def without(self, subnet: Subnet) -> "Committee":
        """Returns the other members, in whatever precision one computes; else the whole committee.

        Args:
            subnet: A network that may be a member, though not the only one.
        """
        asked = network_of(self.space, self.space.canonical(subnet))
        others = [one for one in self.members if network_of(self.space, one) != asked]
        if len(others) in (0, len(self.members)):
            return self
        committee = Committee(self._students, others)
        committee._told = self._told  # members are asked once, whoever is left out
        return committee

    @property
    def space(self) -> Space:
        """The space of the members."""
        return self._students.space

    @property
    def images(self) -> TargetImages:
        """The images that all of them look at."""
        return self._students.images

    @property
    def place(self) -> Place:
        """Where they compute."""
        return self._students.place

    @property
    def origin(self) -> dict[str, Any]:
        """Returns what names the weights and the members."""
        return {**self._students.origin, "members": list(map(str, self.members))}

    def fingerprint(self, subnet: Subnet) -> str:
        """Names everything but the images that the features depend on."""
        return hash_of_parts(*map(self._students.fingerprint, self.members))

    @property
    def levels(self) -> int:
        """How many feature maps each member shows."""
        return seen_students(self._students).levels

    def observe(self, subnet: Subnet) -> Iterator[Features]:
        """Yields the maps of all members batch by batch, at one grid, channels side by side.

        Each position of a member has length 1, so that all of them count alike.
        """
        for seen in zip(*map(seen_students(self._students).observe, self.members), strict=True):
            stages = zip(*(features.levels for features in seen), strict=True)
            yield Features(tuple(map(_beside, stages)), {})

    def embeddings(self, subnet: Subnet) -> np.ndarray:
        """Computes the principal components of the members' pooled features, float32[N, ≤ N].

        Features are centred, and those of all members have one total variance. Distances that look
        at angles or at what is linear are the same for components as for features.
        """
        beside_NE = np.concatenate([self._features(member) for member in self.members], axis=1)
        scores_ND, values_D, _ = np.linalg.svd(beside_NE, full_matrices=False)
        scale = np.sqrt(len(scores_ND) / len(self.members))
        return (scores_ND * values_D * scale).astype(np.float32)

    def _features(self, member: Subnet) -> np.ndarray:
        """Returns a member's centred features, which all together have length 1, float64[N, E]."""
        if member not in self._told:
            features_NE = self._students.embeddings(member).astype(np.float64)
            features_NE -= features_NE.mean(0)
            length = max(np.linalg.norm(features_NE), np.finfo("f8").tiny)
            self._told[member] = features_NE / length
        return self._told[member]


def _beside(maps: Sequence[Tensor]) -> Tensor:
    """Puts maps [B, C, H, W] of one stage side by side, [B, ΣC, G, G]."""
    grid = min(GRID, max(map_BCHW.shape[-1] for map_BCHW in maps))
    return torch.cat([F.normalize(to_grid(map_BCHW, grid)) for map_BCHW in maps], 1)
