"""Subnets: named choices, and one network as a frozen value of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwsearch.errors import HwsearchError, unknown_name

Value = int | str
Values = Mapping[str, Any]
"""Values by name of dimension; only a catalogue's are words."""


@dataclass(frozen=True)
class Dim:
    """One named, ordered choice, such as the depth of stage 3.

    Attributes:
        name: Unique in the space.
        choices: Values, smallest network first; a code is an index into them.
        prefix: Whether every whole number up to the largest is possible, though off the grid,
            because it takes a prefix of the shared weights.
    """

    name: str
    choices: tuple[Value, ...]
    prefix: bool = True

    def check(self, value: Value) -> None:
        """Refuses a value that the shared weights cannot give."""
        largest = self.choices[-1]
        if value in self.choices:
            return
        if not self.prefix or not isinstance(value, int) or not isinstance(largest, int):
            raise unknown_name(self.name, str(value), tuple(map(str, self.choices)))
        if not 1 <= value <= largest:
            raise HwsearchError(
                f"{self.name}={value} is not possible",
                fix=f"Use 1 to {largest}; the grid is {list(self.choices)}",
            )

    def parse(self, text: str) -> Value:
        """Reads a value; raises ValueError for what is no number where one is needed."""
        return text if isinstance(self.choices[0], str) else int(text)


@dataclass(frozen=True)
class Subnet:
    """One network of a space: a frozen value, passed as an argument.

    It stores values rather than codes, so networks off the sampled grid can be named too.
    """

    space: str
    values: tuple[tuple[str, Value], ...]

    def __getitem__(self, name: str) -> Value:
        return dict(self.values)[name]

    def as_dict(self) -> dict[str, Value]:
        """Returns the values by name of dimension."""
        return dict(self.values)

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.values)
