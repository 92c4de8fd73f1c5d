"""The networks of a study: each one alone, named by its space and its values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import product

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import PrecisionSpace

DEPTH = "depth"
"""How the names of dimensions start that say how many blocks a stage has."""


@dataclass(frozen=True)
class Network:
    """One network that is trained alone.

    Attributes:
        name: Name of the space that holds it alone, with all its values.
        family: Name of the space that it is from.
        label: Family as it was written and size, unique in the study: for people.
        params: Learned parameters.
        macs: Multiply-accumulates for one image.
    """

    name: str
    family: str
    label: str
    params: int
    macs: int

    @property
    def space(self) -> Space:
        """The space of this network alone."""
        return get_space(self.name)

    @property
    def subnet(self) -> Subnet:
        """The network in its family."""
        return get_space(self.family).parse(self.name[len(self.family) + 1 : -1])

    @property
    def digest(self) -> str:
        """Tells the network from others that its name stood for at another time."""
        blocks = self.space.lower(self.space.maximum)
        told = "\n".join(f"{block.key} {block.inputs}" for block in blocks)
        return sha256(told.encode()).hexdigest()[:12]

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks of each stage."""
        values = self.subnet.as_dict()
        return tuple(int(value) for name, value in values.items() if name.startswith(DEPTH))


@cache
def read_networks(texts: tuple[str, ...], *, seed: int) -> tuple[Network, ...]:
    """Reads networks; one that is named twice counts once.

    Args:
        texts: What `--networks` takes.
        seed: Chooses the networks of a space.

    Returns:
        By family as they are named, smallest first.

    Raises:
        HwsearchError: If a name is no network, or a space has too few.
    """
    found: dict[Subnet, str] = {}
    for text in texts:
        for family, subnet in _expand(text, seed):
            found.setdefault(subnet, family)
    return _labelled(found)


def _expand(text: str, seed: int) -> Iterator[tuple[str, Subnet]]:
    """Yields the families, as written, and networks that one word of the user stands for."""
    family, colon, count = text.rpartition(":")
    if colon and count.isdecimal():
        yield from ((family, subnet) for subnet in spread(_trainable(family), int(count), seed))
        return
    family, bracket, inside = text.removesuffix("]").partition("[")
    space = _trainable(family)
    if not bracket:
        raise HwsearchError(
            f"'{text}' names a space of {space.size:,} networks",
            fix=f"Write '{text}:12' for 12 of them, or '{text}[min]' for one",
        )
    if not text.endswith("]"):
        raise HwsearchError(f"'{text}' does not end with a bracket", fix=f"Write '{text}]'")
    yield from ((family, space.parse(one)) for one in _combinations(inside))


def _trainable(family: str) -> Space:
    space = get_space(family)
    if isinstance(space, Catalogue | PrecisionSpace):
        raise HwsearchError(
            f"networks of '{family}' cannot be trained alone",
            fix="Name families such as bottleneck-32, without precisions",
        )
    return space


def _combinations(inside: str) -> Iterator[str]:
    """Yields every network of a grid such as "depth1=1+2,depth2=1+2"."""
    if "+" not in inside:
        yield inside
        return
    pairs = [item.partition("=") for item in inside.split(",")]
    for values in product(*(text.split("+") for _, _, text in pairs)):
        yield ",".join(f"{pair[0]}={value}" for pair, value in zip(pairs, values, strict=True))


def spread(space: Space, count: int, seed: int) -> list[Subnet]:
    """Chooses networks evenly over the logarithm of their multiply-accumulates.

    Args:
        space: Where they are from.
        count: How many; the smallest and the largest are among them.
        seed: Chooses which of the networks of nearly the size that is wanted.

    Raises:
        HwsearchError: If the space has too few networks, or fewer than two are asked for.
    """
    if not 2 <= count <= space.size:
        raise HwsearchError(
            f"'{space.name}:{count}' cannot be had: the space has {space.size:,} networks",
            fix=f"Use 2 to {space.size:,}",
        )
    rng = np.random.default_rng(seed)
    codes = space.pool(np.random.default_rng(0))
    log_macs = np.log(space.macs(codes))
    wanted = np.linspace(log_macs.min(), log_macs.max(), count)
    near = (wanted[1] - wanted[0]) / 4
    chosen = [space.minimum, space.maximum]
    for log_target in wanted[1:-1]:
        order = np.argsort(np.abs(log_macs - log_target), kind="stable")
        close = int((np.abs(log_macs - log_target) <= near).sum())
        order[:close] = rng.permutation(order[:close])
        chosen.append(_first_new(space, codes[order], chosen))
    return sorted(chosen, key=lambda one: (space.macs(space.encode(one)[None])[0], str(one)))


def _first_new(space: Space, codes: np.ndarray, chosen: Sequence[Subnet]) -> Subnet:
    return next(one for one in map(space.decode, codes) if one not in chosen)


def _labelled(families: Mapping[Subnet, str]) -> tuple[Network, ...]:
    """Gives every network a label; those of equal size get a number."""
    seen: Counter[str] = Counter()
    networks = []
    for subnet, family in families.items():
        name = f"{subnet.space}[{subnet}]"
        space = get_space(name)
        code = space.encode(space.maximum)[None]
        params, macs = int(space.params(code)[0]), int(space.macs(code)[0])
        plain = f"{family} {macs / 1e6:.3g}M"
        seen[plain] += 1
        label = plain if seen[plain] == 1 else f"{plain} ({seen[plain]})"
        networks.append(Network(name, subnet.space, label, params, macs))
    return tuple(networks)
