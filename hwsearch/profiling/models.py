"""What is measured: single blocks, whole networks over the whole range, and two references."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hwsearch.block import Block
from hwsearch.measurement import REFERENCES
from hwsearch.space import Space, Subnet
from hwsearch.spaces.bottleneck import bottleneck_space

ENUMERABLE = 200_000
"""Spaces up to this size are enumerated when networks are drawn; of others a sample is."""


@dataclass(frozen=True)
class Model:
    """One thing that becomes an engine and a row.

    Attributes:
        kind: "block", "network" or "reference".
        key: Unique among models of a kind.
        blocks: What it computes.
        subnet: Which network it is, or None.
        split: "evidence" or "heldout" for networks, else empty.
    """

    kind: str
    key: str
    blocks: tuple[Block, ...]
    subnet: Subnet | None = None
    split: str = ""

    @property
    def job(self) -> str:
        """Unique among all models of a table."""
        return f"{self.kind} {self.key}"


def block_models(space: Space, limit: int) -> tuple[Model, ...]:
    """Returns the unique blocks of a space, by key; if too many, every n-th.

    Args:
        space: Where they occur.
        limit: The most that are returned.
    """
    unique = {
        block.key: block
        for part in space.parts
        for blocks in space.combinations(part)
        for block in blocks
    }
    keys = sorted(unique)
    if len(keys) > limit:
        keys = [keys[i] for i in np.linspace(0, len(keys) - 1, limit).round().astype(int)]
    return tuple(Model("block", key, (unique[key],)) for key in keys)


def network_models(space: Space, evidence: int, heldout: int, *, seed: int) -> tuple[Model, ...]:
    """Draws whole networks, evenly over the logarithm of their multiply-accumulates.

    The smallest and the largest network are always evidence; none is drawn twice.

    Args:
        space: Where to draw from.
        evidence: How many networks predictors learn from.
        heldout: How many networks predictors are judged by.
        seed: Seed of both draws.
    """
    codes = _candidates(space, seed)
    ends = (space.minimum, space.maximum)[:evidence]
    drawn = _spread(space, codes, evidence - len(ends), (seed, 1), ends)
    known = [*ends, *drawn]
    judged = _spread(space, codes, heldout, (seed, 2), known)
    splits = [(subnet, "evidence") for subnet in known] + [(s, "heldout") for s in judged]
    return tuple(
        Model("network", str(subnet), space.lower(subnet), subnet, split)
        for subnet, split in splits
    )


def _candidates(space: Space, seed: int) -> np.ndarray:
    if space.size <= ENUMERABLE:
        return space.all_codes()
    rng = np.random.default_rng((seed, 0))
    return np.stack([rng.integers(count, size=ENUMERABLE) for count in space.shape], axis=1)


def _spread(
    space: Space, codes: np.ndarray, count: int, seed: tuple[int, int], taken: Iterable[Subnet]
) -> list[Subnet]:
    """Draws one network from each of `count` equal slices of log MACs, then more if some lack."""
    rng = np.random.default_rng(seed)
    log_macs = np.log(space.macs(codes))
    edges = np.linspace(log_macs.min(), log_macs.max(), count + 1)
    slices = np.clip(np.searchsorted(edges, log_macs, side="right") - 1, 0, max(count - 1, 0))
    shuffled = rng.permutation(len(codes))
    first_of_slices = shuffled[np.unique(slices[shuffled], return_index=True)[1]]
    seen, drawn = {space.canonical(subnet) for subnet in taken}, []
    for index in (*first_of_slices, *shuffled):
        if len(drawn) == count:
            break
        subnet = space.canonical(space.decode(codes[index]))
        if subnet not in seen:
            seen.add(subnet)
            drawn.append(subnet)
    return drawn


def reference_models() -> tuple[Model, Model]:
    """Returns the references of every table: a small one that stays in the caches, a large one.

    On a desktop core they take about 0.4 ms and 2.5 ms; the large one reads 16 MB of weights.
    """
    small = _reference(stem=12, widths=(12, 24, 48), depths=(2, 2, 2), strides=(1, 2, 2))
    large = _reference(
        stem=32, widths=(32, 64, 160, 256), depths=(1, 1, 2, 2), strides=(2, 2, 2, 1)
    )
    return (
        Model("reference", REFERENCES[0], small),
        Model("reference", REFERENCES[1], large),
    )


def _reference(
    stem: int, widths: tuple[int, ...], depths: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[Block, ...]:
    space = bottleneck_space(
        "reference",
        32,
        stem_widths=(stem,),
        widths=tuple((width,) for width in widths),
        depths=tuple((depth,) for depth in depths),
        strides=strides,
        stem_kernel=3,
        stem_stride=1,
        stem_pool=False,
    )
    return space.lower(space.maximum)
