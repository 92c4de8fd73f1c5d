"""What is measured: single blocks, whole networks over the whole range, and two references."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.heads import CALL, Extra, parse_extra
from hwsearch.measurement import REFERENCES, Settings
from hwsearch.space import Space, Subnet
from hwsearch.spaces.bottleneck import BOTTLENECK
from hwsearch.spaces.catalogue import Catalogue, OnnxModel
from hwsearch.spaces.staged import Stem, staged_space

SECONDS_A_BLOCK = 0.3
"""A block takes about this long to settle; of more blocks than fit the budget, every n-th is."""


def max_blocks(budget_seconds: float, pace_hz: float) -> int:
    """Returns how many blocks fit a budget, at least one.

    Args:
        budget_seconds: Time inside the measuring process.
        pace_hz: Calls a second; 0 means back to back.
    """
    return max(1, int(budget_seconds / seconds_a_block(pace_hz)))


def seconds_a_block(pace_hz: float) -> float:
    """Returns about how long a block takes to settle at so many calls a second; see `Settings`."""
    settings = Settings(0.0, pace_hz=pace_hz)
    return SECONDS_A_BLOCK + settings.min_passes * settings.paced_seconds


@dataclass(frozen=True)
class Model:
    """One thing that becomes an engine and a row.

    Attributes:
        kind: "block", "network" or "reference".
        key: Unique among models of a kind.
        blocks: What it computes.
        subnet: Which network it is, or None.
        split: "evidence" or "heldout" for networks, else empty.
        ready: The file it is, if it need not be exported.
    """

    kind: str
    key: str
    blocks: tuple[Block, ...]
    subnet: Subnet | None = None
    split: str = ""
    ready: OnnxModel | None = None

    @property
    def job(self) -> str:
        """Unique among all models of a table."""
        return f"{self.kind} {self.key}"


def table_models(
    space: Space,
    *,
    batch: int,
    evidence: int,
    heldout: int,
    seed: int,
    ships: Iterable[str],
    max_blocks: int,
    known: Collection[str] = (),
) -> tuple[Model, ...]:
    """Returns what a table holds: whole networks, then what ships around them, then blocks.

    Args:
        space: Where networks and blocks come from; a catalogue is taken whole.
        batch: Images a call.
        evidence: Number of networks to learn from.
        heldout: Number of networks to judge by.
        seed: Seed of the networks that are drawn.
        ships: Heads and preprocessing, as `parse_extra` reads them.
        max_blocks: The most blocks of the space itself, but for known ones.
        known: Jobs of earlier runs; their blocks are kept.
    """
    shipped = extra_models(space, map(parse_extra, sorted(ships)))
    if isinstance(space, Catalogue):
        return (*catalogue_models(space, batch), *shipped)
    networks = network_models(space, evidence, heldout, seed=seed)
    return (*networks, *shipped, *block_models(space, max_blocks, known))


def block_models(space: Space, limit: int, known: Collection[str] = ()) -> tuple[Model, ...]:
    """Returns the unique blocks of a space, by key; if too many, every n-th beside known ones.

    Args:
        space: Where they occur.
        limit: The most that are returned, unless more are known.
        known: Jobs of blocks that are kept.
    """
    unique = {
        block.key: block
        for part in space.parts
        for blocks in space.combinations(part)
        for block in blocks
    }
    models = [Model("block", key, (unique[key],)) for key in sorted(unique)]
    kept = [model for model in models if model.job in known]
    others = [model for model in models if model.job not in known]
    room = max(0, limit - len(kept))
    if len(others) > room:
        others = [others[i] for i in np.linspace(0, len(others) - 1, room).round().astype(int)]
    return tuple(sorted((*kept, *others), key=lambda model: model.key))


def extra_models(space: Space, extras: Iterable[Extra]) -> tuple[Model, ...]:
    """Returns the blocks of heads and preprocessing for the networks of a space, and `CALL`."""
    blocks = {key: block for extra in extras for key, block in extra.blocks_of(space).items()}
    blocks |= {CALL.key: CALL} if blocks else {}
    return tuple(Model("block", key, (block,)) for key, block in sorted(blocks.items()))


def network_models(space: Space, evidence: int, heldout: int, *, seed: int) -> tuple[Model, ...]:
    """Draws whole networks, evenly over the logarithm of their multiply-accumulates.

    The smallest and the largest network are always evidence; none is drawn twice.

    Args:
        space: Where to draw from.
        evidence: How many networks predictors learn from.
        heldout: How many networks predictors are judged by.
        seed: Seed of both draws.
    """
    codes = space.pool(np.random.default_rng((seed, 0)))
    ends = tuple(dict.fromkeys((space.minimum, space.maximum)))[:evidence]  # there may be one
    drawn = _spread(space, codes, evidence - len(ends), (seed, 1), ends)
    known = [*ends, *drawn]
    judged = _spread(space, codes, heldout, (seed, 2), known)
    splits = [(subnet, "evidence") for subnet in known] + [(s, "heldout") for s in judged]
    return tuple(
        Model("network", space.key(subnet), space.lower(subnet), subnet, split)
        for subnet, split in splits
    )


def catalogue_models(catalogue: Catalogue, batch: int) -> tuple[Model, ...]:
    """Returns all networks of a catalogue.

    Args:
        catalogue: The networks.
        batch: Images a call.

    Raises:
        HwsearchError: If one takes another number of images.
    """
    for model in catalogue.models.values():
        if model.batch != batch:
            raise HwsearchError(
                f"the model takes {model.batch} images a call, not {batch}",
                where=model.path,
                fix=f"Use --batch {model.batch}, or export it for {batch}",
            )
    subnets = [catalogue.decode(code) for code in catalogue.all_codes()]
    return tuple(
        Model(
            "network",
            catalogue.key(subnet),
            catalogue.lower(subnet),
            subnet,
            "evidence",
            catalogue.model(subnet),
        )
        for subnet in subnets
    )


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
    space = staged_space(
        "reference",
        32,
        BOTTLENECK,
        Stem((stem,), kernel=3, stride=1, pool=False),
        widths=tuple((width,) for width in widths),
        depths=tuple((depth,) for depth in depths),
        strides=strides,
    )
    return space.lower(space.maximum)
