"""What a search was told: what limits hold, and how to deliver a network that is on no front."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import Target, match_table
from hwsearch.search.limits import Limit, read_limits

CONFIG = "config.toml"

_PASSED = ("checkpoint", "images", "teacher", "weights", "task", "max_images")
"""Options of a search that decide what a network is; deploy takes them by the same names."""


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

    def table_path(self, at: int) -> str:
        """Returns the path of the table that is the search's target number `at`, or nothing."""
        tables = self.options.get("tables", ())
        return str(tables[at]) if at < len(tables) else ""

    @property
    def words(self) -> list[str]:
        """What `hwsearch deploy --subnet` must be told beside table, subnet and folder."""
        given = {name: self.options.get(name) for name in _PASSED}
        return [
            word
            for name, value in given.items()
            if value not in (None, "")
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
