"""What a search over cells has found, and the file that holds it: edges, widths and depths."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.kinds.cell import INPUTS, NONE, OPERATIONS, Edge

FORMAT = "hwsearch-cells"
SCHEMA = 1
STAGES = 3
EDGES_A_NODE = 2

_PATTERN = "Restore the file from a copy, or search again"


@dataclass(frozen=True)
class Genotype:
    """The inside of both kinds of cells.

    Attributes:
        normal: Edges of cells that keep the size of the map.
        reduction: Edges of cells that halve it.
    """

    normal: tuple[Edge, ...]
    reduction: tuple[Edge, ...]

    def __post_init__(self) -> None:
        """Refuses edges that make no cell."""
        for name in ("normal", "reduction"):
            _check_edges(getattr(self, name), name)
        if self.nodes != len(self.reduction) // EDGES_A_NODE:
            raise ValueError("normal and reduction cells must have equally many nodes")

    @property
    def nodes(self) -> int:
        """Nodes of a cell beside its inputs."""
        return len(self.normal) // EDGES_A_NODE


@dataclass(frozen=True)
class CellFamily:
    """Networks of equal cells that differ in width and depth.

    Attributes:
        genotype: The inside of the cells.
        side: Height and width of the input image in pixels.
        widths: Channels of a node in the first stage to choose from; each stage doubles them.
        depths: Numbers of cells to choose from, for each of three stages: two or more in the first
            two. The second and the third stage start with a reduction cell.
    """

    genotype: Genotype
    side: int
    widths: tuple[int, ...]
    depths: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def __post_init__(self) -> None:
        """Refuses sizes that no network has."""
        if self.side < 1 or self.side % 2 ** (STAGES - 1):
            raise ValueError(f"side {self.side} cannot be halved twice; use a multiple of 4")
        _check_rising(self.widths, "widths", least=2)
        if any(width % 2 for width in self.widths):
            raise ValueError("widths must be even")
        for stage, depths in enumerate(self.depths, start=1):
            # So that what a reduction cell reads has the same size in all networks.
            _check_rising(depths, f"depths of stage {stage}", least=1 if stage == STAGES else 2)

    def write(self, path: Path) -> None:
        """Writes the file that `--space cells:FILE` reads."""
        text = json.dumps({"format": FORMAT, "schema": SCHEMA, **asdict(self)}, indent=1)
        write_atomic(path, text + "\n")

    @classmethod
    def read(cls, path: Path) -> "CellFamily":
        """Reads a file.

        Raises:
            HwsearchError: If there is none, or it holds no family of cells.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as cause:
            fix = "Write --space cells:FILE with a genotype.json of a search over cells"
            raise HwsearchError("there is no such file", where=path, fix=fix) from cause
        except (OSError, ValueError, RecursionError) as cause:
            raise HwsearchError(f"this is no JSON: {cause}", where=path, fix=_PATTERN) from cause
        about = {}
        if isinstance(found, dict):
            about = {key: found.pop(key, None) for key in ("format", "schema")}
        if about != {"format": FORMAT, "schema": SCHEMA}:
            raise HwsearchError(
                f"this is no {FORMAT} version {SCHEMA}",
                where=path,
                fix="Use the hwsearch that wrote it, or name a genotype.json",
            )
        try:
            return msgspec.convert(found, cls)
        except msgspec.ValidationError as cause:
            what = f"this holds no cells: {cause}"
            raise HwsearchError(what, where=path, fix=_PATTERN) from cause


def random_genotype(nodes: int, rng: np.random.Generator) -> Genotype:
    """Draws two cells evenly over sources and operations: what a search has to beat."""

    def edges() -> Iterable[Edge]:
        for node in range(INPUTS, INPUTS + nodes):
            for source in sorted(rng.choice(node, EDGES_A_NODE, replace=False).tolist()):
                yield Edge(node, source, str(rng.choice([n for n in OPERATIONS if n != NONE])))

    return Genotype(tuple(edges()), tuple(edges()))


def _check_edges(edges: tuple[Edge, ...], name: str) -> None:
    nodes = [INPUTS + number // EDGES_A_NODE for number in range(len(edges))]
    if not edges or [edge.node for edge in edges] != nodes or len(edges) % EDGES_A_NODE:
        raise ValueError(f"{name} cells need two edges for each node, from node {INPUTS} on")
    for node, source, operation in edges:
        if not 0 <= source < node:
            raise ValueError(f"node {node} of {name} cells cannot read node {source}")
        if operation == NONE or operation not in OPERATIONS:
            known = ", ".join(n for n in OPERATIONS if n != NONE)
            raise ValueError(f"unknown operation '{operation}'; known: {known}")
    if len({(edge.node, edge.source) for edge in edges}) != len(edges):
        raise ValueError(f"a node of {name} cells reads another twice")


def _check_rising(values: tuple[int, ...], name: str, *, least: int) -> None:
    if not values or values[0] < least or list(values) != sorted(set(values)):
        raise ValueError(f"{name} must rise from {least} or more")
