"""Evaluations: every network that a search has looked at, as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import read_journal
from hwsearch.space import Space
from hwsearch.spaces import get_space

KIND = "search"
"""Kind of the journal."""
FILE = "evaluations.jsonl"
"""Name of the journal in the folder of a search."""


@dataclass(frozen=True)
class Evaluations:
    """The evaluated networks of a search, in the order of evaluation.

    Attributes:
        space: Space of the codes.
        tables: Names of the latency tables, in the order of the columns of `latency_ms`.
        codes: int[N, D].
        distance: Teacher distance, lower is better, float[N].
        latency_ms: Predicted milliseconds, float[N, T].
    """

    space: Space
    tables: tuple[str, ...]
    codes: np.ndarray
    distance: np.ndarray
    latency_ms: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Evaluations":
        """Reads the journal of a search, finished or not.

        Raises:
            HwsearchError: If the folder holds no evaluations.
        """
        path = folder / FILE
        if not path.is_file():
            raise HwsearchError(
                "no search found", where=folder, fix="Give the folder of `hwsearch search --out`"
            )
        header, rows = read_journal(path, KIND)
        space, tables = get_space(header["space"]), tuple(header["tables"])
        if not rows:
            raise HwsearchError(
                "the search holds no evaluation yet", where=path, fix="Run the search to its end"
            )
        return cls(
            space=space,
            tables=tables,
            codes=np.array([space.encode(space.subnet(**row["subnet"])) for row in rows]),
            distance=np.array([row["distance"] for row in rows], dtype=float),
            latency_ms=np.array([[row["latency_ms"][t] for t in tables] for row in rows]),
        )

    def latencies(self, table: str) -> np.ndarray:
        """Returns the predicted milliseconds for one table, float[N]."""
        return self.latency_ms[:, self.tables.index(table)]
