"""The queue of older keys, and what a step's queries are told from.

Shapes: B batch, D projection, K queue.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwsearch.nn.processes import gather_rows

NOBODY = -1
"""Owner of the random directions that fill a new queue."""


@dataclass(frozen=True)
class OtherKeys:
    """Keys of other images.

    Attributes:
        keys_KD: L2-normalised keys.
        own_BK: True where a key is one of the query's own image after all; to be left out.
    """

    keys_KD: Tensor
    own_BK: Tensor


class KeyQueue(nn.Module):
    """A ring of L2-normalised keys, each with the number of the image it came from.

    Args:
        size: Keys held; 0 stands for the keys of the present batch.
        width: Length of a key.
    """

    keys_KD: Tensor
    owners_K: Tensor
    position: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys_KD", F.normalize(torch.randn(size, width)))
        self.register_buffer("owners_K", torch.full((size,), NOBODY))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def others(self, keys_BD: Tensor, indices_B: Tensor) -> OtherKeys:
        """Returns the older keys, or those of the batch if none are held; notes the new ones.

        The batch is that of all processes, so that their queues stay equal.

        Args:
            keys_BD: L2-normalised keys of a batch.
            indices_B: Number of the image that each is of.
        """
        new_keys, new_owners = gather_rows(keys_BD), gather_rows(indices_B)
        self._waiting.append((new_keys, new_owners))
        keys_KD, owners_K = self.keys_KD, self.owners_K
        if not len(owners_K):
            keys_KD, owners_K = new_keys, new_owners
        return OtherKeys(keys_KD, indices_B[:, None] == owners_K[None])

    def enqueue(self) -> None:
        """Replaces the oldest keys by those that were noted since the last time."""
        assert self._waiting, "a step is over only once"
        for keys_BD, indices_B in self._waiting:
            if len(self.owners_K):
                self._replace(keys_BD, indices_B)
        self._waiting = []

    def drop(self) -> None:
        """Forgets the keys that were noted."""
        self._waiting = []

    @torch.no_grad()
    def _replace(self, keys_BD: Tensor, indices_B: Tensor) -> None:
        size = len(self.owners_K)
        assert len(keys_BD) <= size, "a batch must fit into the queue"
        rows = (self.position + torch.arange(len(keys_BD), device=keys_BD.device)) % size
        self.keys_KD[rows] = keys_BD
        self.owners_K[rows] = indices_B
        self.position.add_(len(keys_BD)).remainder_(size)
