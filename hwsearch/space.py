"""Spaces of networks: named choices, and one walk from a choice to its blocks."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from hwsearch.block import Block, Shape
from hwsearch.errors import HwsearchError
from hwsearch.layers import cost_of

Values = Mapping[str, int]


@dataclass(frozen=True)
class Dim:
    """One named, ordered choice, such as the depth of stage 3.

    Attributes:
        name: Unique in the space.
        choices: Values in rising order; a code is an index into them.
    """

    name: str
    choices: tuple[int, ...]

    def check(self, value: int) -> None:
        """Refuses a value that no prefix of the shared weights can give."""
        if not 1 <= value <= self.choices[-1]:
            raise HwsearchError(
                f"{self.name}={value} is not possible",
                fix=f"Use 1 to {self.choices[-1]}; the grid is {list(self.choices)}",
            )


@dataclass(frozen=True)
class Subnet:
    """One network of a space: a frozen value, passed as an argument.

    It stores values rather than codes, so networks off the sampled grid can be named too.
    """

    space: str
    values: tuple[tuple[str, int], ...]

    def __getitem__(self, name: str) -> int:
        return dict(self.values)[name]

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name of dimension."""
        return dict(self.values)

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.values)


@dataclass(frozen=True)
class Part:
    """A run of consecutive blocks and the few dimensions that it depends on.

    Attributes:
        name: Unique in the space.
        dims: Names of the dimensions that `lower` reads.
        lower: From values of those dimensions to the blocks of the part.
    """

    name: str
    dims: tuple[str, ...]
    lower: Callable[[Values], tuple[Block, ...]] = field(repr=False)


@dataclass(frozen=True)
class Space:
    """A family of networks: dimensions, and parts that turn them into blocks.

    Attributes:
        name: Registered name.
        input_shape: Shape of the input image: channels, height, width.
        dims: Named choices in the order of the codes.
        parts: Runs of blocks, in order; their concatenation is the network.
    """

    name: str
    input_shape: Shape
    dims: tuple[Dim, ...]
    parts: tuple[Part, ...]

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

    def subnet(self, **values: int) -> Subnet:
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
        if text in ("max", "min"):
            return self.maximum if text == "max" else self.minimum
        try:
            if text.lstrip().startswith("{"):
                values = {str(name): int(value) for name, value in json.loads(text).items()}
            else:
                pairs = (item.split("=") for item in text.split(",") if item.strip())
                values = {name.strip(): int(value) for name, value in pairs}
        except (ValueError, AttributeError) as cause:
            example = f"--subnet {self.minimum}"
            raise HwsearchError(
                f"cannot read the subnet '{text}'", fix=f"Write it like {example}"
            ) from cause
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

    def sample(self, rng: np.random.Generator) -> Subnet:
        """Draws a subnet, uniform over the choices of each dimension."""
        return self.decode(np.array([rng.integers(len(dim.choices)) for dim in self.dims]))

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
        """Returns the one representative of all subnets that compute the same network."""
        return subnet

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

    def gather(
        self, codes: np.ndarray, features: Callable[[tuple[Block, ...]], np.ndarray]
    ) -> np.ndarray:
        """Sums features over the parts of many networks without walking each of them.

        Features are computed once per combination of a part's dims, then gathered.

        Args:
            codes: int[N, D].
            features: From the blocks of one part to float[F], additive over blocks.

        Returns:
            float[N, F].
        """
        total: np.ndarray | None = None
        for part in self.parts:
            table = np.stack([features(blocks) for blocks in self.combinations(part)])
            rows = table[self.combination_index(part, codes)]
            total = rows if total is None else total + rows
        assert total is not None, f"space {self.name} has no parts"
        return total

    def macs(self, codes: np.ndarray) -> np.ndarray:
        """Multiply-accumulates of many networks for one image, int[N]."""
        return self.gather(codes, lambda blocks: np.array([total_macs(blocks)]))[:, 0]

    def params(self, codes: np.ndarray) -> np.ndarray:
        """Learned parameters of many networks, int[N]."""
        return self.gather(codes, lambda blocks: np.array([total_params(blocks)]))[:, 0]


def total_macs(blocks: tuple[Block, ...]) -> int:
    """Multiply-accumulates of a run of blocks for one image."""
    return sum(cost_of(block).macs for block in blocks)


def total_params(blocks: tuple[Block, ...]) -> int:
    """Learned parameters of a run of blocks."""
    return sum(cost_of(block).params for block in blocks)
