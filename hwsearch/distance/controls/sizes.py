"""Controls that look at no image: chance, and how large a network is."""

import hashlib

from hwsearch.kinds import total_macs, total_params
from hwsearch.space import Space, Subnet


class Chance:
    """A number from 0 to 1 for each network, of which nothing but the seed decides.

    Args:
        seed: Chooses the numbers.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def __call__(self, subnet: Subnet) -> float:
        """Returns the number of a network."""
        digest = hashlib.sha256(f"{self._seed}|{subnet}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


class Sizes:
    """Scores of a network's size.

    Args:
        space: Of the networks.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def parameters(self, subnet: Subnet) -> float:
        """Returns the learned parameters."""
        return float(total_params(self._space.lower(subnet)))

    def macs(self, subnet: Subnet) -> float:
        """Returns the multiply-accumulates for one image."""
        return float(total_macs(self._space.lower(subnet)))

    def depth(self, subnet: Subnet) -> float:
        """Returns the number of blocks."""
        return float(len(self._space.lower(subnet)))
