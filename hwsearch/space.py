"""Spaces of networks: named choices, and one walk from a choice to its blocks."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import prod
from typing import Literal

import numpy as np

from hwsearch.block import Block, Shape
from hwsearch.errors import HwsearchError
from hwsearch.kinds import peak_elements, total_macs, total_params, total_weights
from hwsearch.part import Part
from hwsearch.subnet import Dim, Subnet, Value, Values

__all__ = ["Dim", "Part", "Space", "Subnet", "Uniform", "Values"]

Uniform = Literal["choices", "macs"]
"""What sampling is uniform over: the choices of each dimension, or multiply-accumulates."""

ENDS = ("max", "min")
"""What names the largest and the smallest network of any space."""

POOL = 200_000
"""Spaces up to this size are enumerated where networks are drawn by size; of others so many are."""


@dataclass(frozen=True)
class Space:
    """A family of networks: dimensions, and parts that turn them into blocks.

    Attributes:
        name: Registered name.
        input_shape: Shape of the largest input image: channels, height, width.
        dims: Named choices in the order of the codes.
        parts: Runs of blocks, in order; their concatenation is the network.
        fixed: Values by name of dimension that every canonical network has: only those are
            searched.
    """

    name: str
    input_shape: Shape
    dims: tuple[Dim, ...]
    parts: tuple[Part, ...]
    fixed: tuple[tuple[str, Value], ...] = field(default=(), kw_only=True)

    def lower(self, subnet: Subnet) -> tuple[Block, ...]:
        """Returns the blocks of a subnet; the only walk over a network.

        Raises:
            HwsearchError: If the subnet is of another space or has an impossible value.
        """
        self._check(subnet)
        values = subnet.as_dict()
        return tuple(block for part in self.parts for block in part.lower(values))

    def _check(self, subnet: Subnet) -> None:
        if subnet.space != self.name:
            raise HwsearchError(
                f"subnet of space '{subnet.space}' used in space '{self.name}'",
                fix=f"Take the subnet from a search in '{self.name}'",
            )
        for dim, (_, value) in zip(self.dims, subnet.values, strict=True):
            dim.check(value)

    def key(self, subnet: Subnet) -> str:
        """Returns what names a subnet in latency tables."""
        self._check(subnet)
        return str(subnet)

    def input_side(self, subnet: Subnet) -> int:
        """Returns the side of a subnet's input image in pixels."""
        return self.lower(subnet)[0].in_side

    def subnet(self, **values: Value) -> Subnet:
        """Names a subnet by its values; a dimension left out stays at its maximum.

        Raises:
            HwsearchError: If a name is unknown or a value is impossible.
        """
        unknown = sorted(set(values) - {dim.name for dim in self.dims})
        if unknown:
            raise HwsearchError(
                f"space '{self.name}' has no dimension {', '.join(unknown)}",
                fix=f"Dimensions: {', '.join(dim.name for dim in self.dims)}",
            )
        subnet = Subnet(
            self.name, tuple((dim.name, values.get(dim.name, dim.choices[-1])) for dim in self.dims)
        )
        self._check(subnet)
        return subnet

    def parse(self, text: str) -> Subnet:
        """Reads a subnet from "stem=32,depth1=2,…", a JSON object, "max" or "min"."""
        if text in ENDS:
            return self.maximum if text == "max" else self.minimum
        try:
            if text.lstrip().startswith("{"):
                read = json.loads(text, object_pairs_hook=list)  # a dict would drop repeated names
                pairs = [(str(name), str(value)) for name, value in read]
            else:
                split = (item.split("=") for item in text.split(",") if item.strip())
                pairs = [(name.strip(), value.strip()) for name, value in split]
            known = {dim.name: dim for dim in self.dims}
            values = {n: known[n].parse(value) if n in known else value for n, value in pairs}
            if len(values) < len(pairs):
                raise ValueError
        except (ValueError, RecursionError) as cause:
            fix = f"Write each name once, like --subnet {self.minimum}"
            raise HwsearchError(f"cannot read the subnet '{text}'", fix=fix) from cause
        return self.subnet(**values)

    @property
    def maximum(self) -> Subnet:
        """The largest network."""
        return self.subnet()

    @property
    def minimum(self) -> Subnet:
        """The smallest network."""
        return self.subnet(**{dim.name: dim.choices[0] for dim in self.dims})

    @property
    def size(self) -> int:
        """How many networks are on the grid."""
        return prod(len(dim.choices) for dim in self.dims)

    def sample(self, rng: np.random.Generator, uniform: Uniform = "choices") -> Subnet:
        """Draws a subnet.

        Args:
            rng: Where chance comes from.
            uniform: Over what. Most networks drawn over "choices" are of medium size.
        """
        if uniform == "choices":
            return self.decode(np.array([rng.integers(len(dim.choices)) for dim in self.dims]))
        codes, macs = self._by_macs
        target = rng.uniform(macs[0], macs[-1])
        width = (macs[-1] - macs[0]) / 100
        low, high = np.searchsorted(macs, [target - width / 2, target + width / 2])
        if low == high:  # nothing near: the nearest of the two beside the gap
            low = min(low, len(macs) - 1)
            low -= low > 0 and target - macs[low - 1] < macs[low] - target
            high = low + 1
        return self.decode(codes[rng.integers(low, high)])

    @cached_property
    def _by_macs(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes int[n, D] over the whole range of multiply-accumulates, and those, rising."""
        codes = self.pool(np.random.default_rng(0))
        macs = self.macs(codes)
        order = np.argsort(macs, kind="stable")
        return codes[order], macs[order]

    def pool(self, rng: np.random.Generator) -> np.ndarray:
        """Returns codes int[n, D] of networks of all sizes: all there are, or `POOL` of them."""
        if self.size <= POOL:
            return self.all_codes()
        top = np.array(self.shape) - 1
        codes = rng.binomial(top, rng.random((POOL, 1)))
        codes[0], codes[-1] = 0, top
        return codes

    def encode(self, subnet: Subnet) -> np.ndarray:
        """Returns the code of a subnet, int[D].

        Raises:
            HwsearchError: If a value is off the grid.
        """
        self._check(subnet)
        for dim in self.dims:
            if subnet[dim.name] not in dim.choices:
                raise HwsearchError(
                    f"{dim.name}={subnet[dim.name]} is off the grid of space '{self.name}'",
                    fix=f"Choose from {list(dim.choices)}",
                )
        return np.array([dim.choices.index(subnet[dim.name]) for dim in self.dims])

    def decode(self, code: np.ndarray) -> Subnet:
        """Returns the subnet of a code int[D]."""
        return self.subnet(
            **{
                dim.name: dim.choices[int(index)]
                for dim, index in zip(self.dims, code, strict=True)
            }
        )

    def neighbours(self, subnet: Subnet) -> tuple[Subnet, ...]:
        """Returns every subnet that is one step away in one dimension."""
        code, near = self.encode(subnet), []
        for position, dim in enumerate(self.dims):
            for step in (-1, 1):
                moved = code.copy()
                moved[position] += step
                if 0 <= moved[position] < len(dim.choices):
                    near.append(self.decode(moved))
        return tuple(near)

    def canonical(self, subnet: Subnet) -> Subnet:
        """Returns the network that stands for a subnet: the same, with the fixed values."""
        return self.subnet(**(subnet.as_dict() | dict(self.fixed)))

    def canonical_codes(self, codes: np.ndarray) -> np.ndarray:
        """Returns the codes of canonical networks, int[N, D]."""
        fixed, codes = dict(self.fixed), codes.copy()
        for column, dim in enumerate(self.dims):
            if dim.name in fixed:
                codes[:, column] = dim.choices.index(fixed[dim.name])
        return codes

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of choices of each dimension."""
        return tuple(len(dim.choices) for dim in self.dims)

    def all_codes(self) -> np.ndarray:
        """Enumerates the grid, int[size, D]."""
        return np.stack(np.unravel_index(np.arange(self.size), self.shape), axis=1)

    def combinations(self, part: Part) -> Iterator[tuple[Block, ...]]:
        """Yields the blocks of a part for each combination of its dims, last dim fastest."""
        dims = [dim for dim in self.dims if dim.name in part.dims]
        for indices in np.ndindex(*(len(dim.choices) for dim in dims)):
            values = {dim.name: dim.choices[i] for dim, i in zip(dims, indices, strict=True)}
            yield part.lower(values)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """Every block that some network on the grid has, by key."""
        return {
            block.key: block
            for part in self.parts
            for blocks in self.combinations(part)
            for block in blocks
        }

    def combination_index(self, part: Part, codes: np.ndarray) -> np.ndarray:
        """Returns which of a part's `combinations` each code int[N, D] takes, int[N]."""
        index = np.zeros(len(codes), dtype=np.intp)
        for column, dim in enumerate(self.dims):
            if dim.name in part.dims:
                index = index * self.shape[column] + codes[:, column]
        return index

    def tabulate(
        self,
        features: Callable[[tuple[Block, ...]], np.ndarray],
        combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.add,
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Computes features once per combination of each part's dims, to be gathered again.

        Args:
            features: From the blocks of one part to float[F].
            combine: Joins what came before, float[N, F], with the next part, such as by a sum.

        Returns:
            From codes int[N, D] to features of the networks, float[N, F], without a walk over each.
        """
        tables = [
            (part, np.stack([features(blocks) for blocks in self.combinations(part)]))
            for part in self.parts
        ]
        return lambda codes: reduce(
            combine, (table[self.combination_index(part, codes)] for part, table in tables)
        )

    def total(
        self, count: Callable[[tuple[Block, ...]], float], combine: np.ufunc = np.add
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Likewise for one number a part; returns a function from codes int[N, D] to [N]."""
        gathered = self.tabulate(lambda blocks: np.array([count(blocks)]), combine)
        return lambda codes: gathered(codes)[:, 0]

    @cached_property
    def macs(self) -> Callable[[np.ndarray], np.ndarray]:
        """Multiply-accumulates of many networks for one image, int[N] from codes int[N, D]."""
        return self.total(total_macs)

    @cached_property
    def params(self) -> Callable[[np.ndarray], np.ndarray]:
        """Learned parameters of many networks, int[N] from codes int[N, D]."""
        return self.total(total_params)

    @cached_property
    def weight_elements(self) -> Callable[[np.ndarray], np.ndarray]:
        """Numbers that the engines of many networks hold, int[N] from codes int[N, D]."""
        return self.total(total_weights)

    @cached_property
    def block_counts(self) -> Callable[[np.ndarray], np.ndarray]:
        """Blocks of many networks, int[N] from codes int[N, D]."""
        return self.total(len)

    @cached_property
    def peak_elements(self) -> Callable[[np.ndarray], np.ndarray]:
        """Most elements of feature maps alive at once in many networks, for one image, likewise."""
        return self.total(peak_elements, np.maximum)
