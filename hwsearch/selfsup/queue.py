"""The queue of older keys that serve as negatives.

Shapes: B batch, D projection, K queue.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NOBODY = -1
"""Owner of the random directions that fill a new queue."""


class KeyQueue(nn.Module):
    """A ring of L2-normalised keys, each with the number of the image it came from.

    Args:
        size: Keys held.
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

    @torch.no_grad()
    def enqueue(self, keys_BD: Tensor, indices_B: Tensor) -> None:
        """Replaces the oldest keys."""
        size = len(self.owners_K)
        assert len(keys_BD) <= size, "a batch must fit into the queue"
        rows = (self.position + torch.arange(len(keys_BD), device=keys_BD.device)) % size
        self.keys_KD[rows] = keys_BD
        self.owners_K[rows] = indices_B
        self.position.add_(len(keys_BD)).remainder_(size)
