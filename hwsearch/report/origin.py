"""What a search was told: what limits hold, and what ships around its networks."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import Target, match_table
from hwsearch.search.limits import Limit, read_limits

CONFIG = "config.toml"


@dataclass(frozen=True)
class Origin:
    """The options of a search, read without opening what they name.

    Attributes:
        options: By name; empty where the folder does not tell.
    """

    options: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Origin":
        """Reads config.toml of a search.

        Raises:
            HwsearchError: If it is damaged.
        """
        path = folder / CONFIG
        if not path.is_file():
            return cls({})
        try:
            return cls(tomllib.loads(path.read_text(encoding="utf-8")))
        except ValueError as cause:
            raise HwsearchError(
                f"the options of the search are damaged: {cause}",
                where=path,
                fix="Run the same hwsearch search again; it repeats no evaluation",
            ) from cause

    @property
    def ships(self) -> tuple[str, ...]:
        """What ships around the networks."""
        return tuple(self.options.get("ships", ()))

    def limits(self, target: Target, labels: tuple[str, ...]) -> list[Limit]:
        """Returns the limits that hold for one of the tables of the search."""
        every = read_limits(self.options.get("limit", ()))
        return [
            one for one in every if not one.table or match_table(one.table, labels) == target.table
        ]
