"""A device that follows a known law, for tests of what is predicted from tables."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hwsearch.block import Block
from hwsearch.device import fingerprint
from hwsearch.heads import parse_extra
from hwsearch.kinds import cost_of
from hwsearch.latency.rows import Reference, Row, TableHeader
from hwsearch.latency.table import Table
from hwsearch.profiling.models import extra_models
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

HEADER = TableHeader(
    space="bottleneck-32",
    runtime="onnxruntime",
    precision="fp32",
    batch=1,
    threads=2,
    device="lawful",
    fingerprint=fingerprint(),
    versions={"numpy": np.__version__},
    provider="none",
    references=(Reference("small", "0", 0.1), Reference("large", "1", 1.0)),
    exponents=(0.4, 0.5),
    seed=0,
    date="2022-02-22",
    visits=0,
    build_seconds=1.0,
    measure_seconds=2.0,
    ended="settled",
)


def block_ms(block: Block) -> float:
    """A rate that depends on divisibility, traffic, and a fixed cost of a call."""
    cost = cost_of(block)
    odd = 1.3 if any(size % 16 for _, size in block.sizes) else 1.0
    moved = cost.read_elements + cost.written_elements
    return 0.01 + odd * cost.macs / 50e6 + moved / 100e6


def network_ms(space: Space, subnet: Subnet) -> float:
    """Calls cost less in a row, and large weights fall out of the cache."""
    blocks = space.lower(subnet)
    params = sum(cost_of(block).params for block in blocks) / 1e6
    spill = 1.1 + 0.15 * np.tanh(2 * (params - 0.6))
    return spill * (sum(map(block_ms, blocks)) - 0.006 * len(blocks))


@dataclass
class SyntheticDevice:
    """Measures with noise.

    Attributes:
        space: What is measured.
        noise: Standard deviation of a measurement's relative error.
        seed: Of networks and noise.
    """

    space: Space = field(default_factory=lambda: get_space("bottleneck-32"))
    noise: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def row(self, kind: str, key: str, true_ms: float) -> Row:
        ms = true_ms * float(np.exp(self.rng.normal(0, self.noise)))
        return Row(kind, key, ms, self.noise, 9, ms, ms, ms, ms, (1.0,), "hash")

    def block_rows(self) -> tuple[Row, ...]:
        blocks = self.space.blocks.items()
        return tuple(self.row("block", key, block_ms(block)) for key, block in blocks)

    def extra_rows(self, ships: tuple[str, ...]) -> tuple[Row, ...]:
        models = extra_models(self.space, map(parse_extra, ships))
        return tuple(self.row("block", model.key, block_ms(model.blocks[0])) for model in models)

    def network_rows(self, count: int, split: str) -> tuple[Row, ...]:
        found: dict[str, Row] = {}
        while len(found) < count:
            subnet = self.space.sample(self.rng)
            row = self.row("network", self.space.key(subnet), network_ms(self.space, subnet))
            found[row.key] = replace(row, subnet=subnet.as_dict(), split=split)
        return tuple(found.values())

    def table(
        self,
        evidence: int,
        heldout: int = 0,
        *,
        blocks: bool = True,
        folder: Path = Path(),
        ships: tuple[str, ...] = (),
    ) -> Table:
        header = replace(HEADER, space=self.space.name)
        rows = self.block_rows() if blocks else ()
        rows += self.network_rows(evidence, "evidence") + self.network_rows(heldout, "heldout")
        rows += self.extra_rows(ships)
        path = folder / header.device / f"{header.name}.jsonl"
        return Table(path, header, tuple(sorted(rows, key=lambda row: (row.kind, row.key))))
