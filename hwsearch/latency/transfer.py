"""A new table from few measurements: an earlier table predicts, and what is measured corrects."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.latency.correction import Correction
from hwsearch.latency.extras import AddedTimes
from hwsearch.latency.predictor import (
    MIN_NETWORKS,
    Predictor,
    check_space,
    evidence_of,
)
from hwsearch.latency.rows import space_in_file_names
from hwsearch.latency.table import FOLDER, Table, find_table, table_folders
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space


@dataclass(frozen=True)
class SourceFeatures:
    """What an earlier table's predictor sees of networks, with its predictions as the one total.

    Attributes:
        source: Predicts from the earlier table.
    """

    source: Predictor

    def of_codes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns totals float[N, 1] and scaled features float[N, F] of code int[N, D]."""
        return self._predicted(*self.source.features.of_codes(codes))

    def of_subnet(self, subnet: Subnet) -> tuple[np.ndarray, np.ndarray]:
        """Walks one network, on the grid or off it; returns as `of_codes` with N = 1."""
        return self._predicted(*self.source.features.of_subnet(subnet))

    def _predicted(self, totals: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.source.correction.mean_ms(totals, inputs)[:, None], inputs


def fit_transfer(table: Table, space: Space, earlier: Table) -> Predictor:
    """Corrects what an earlier table predicts by the evidence rows of a new one.

    Raises:
        HwsearchError: If the earlier table is of another space, or evidence is too little.
    """
    rows = table.networks("evidence")
    if len(rows) < MIN_NETWORKS:
        raise HwsearchError(
            f"{len(rows)} measured networks are too little evidence; {MIN_NETWORKS} are needed",
            where=table.path,
            fix="Measure more: hwsearch profile with a larger --evidence",
        )
    features = SourceFeatures(Predictor.fit(earlier, space))
    correction = Correction.best(evidence_of(rows, space, features))
    return Predictor(features, correction, AddedTimes.of(table))


def source_of(table: Table) -> Table:
    """Finds the earlier table that a table was started from.

    Raises:
        HwsearchError: If it is not here, or is no longer what it was.
    """
    header, beside = table.header, table.path.parent.parent
    try:
        path = find_table(header.source, beside if beside.is_dir() else None)
        state = "" if sha256_of(path) == header.source_sha256 else "has changed"
    except HwsearchError:
        path, state = table.path, "is not here"
    if state:
        raise HwsearchError(
            f"the table '{table.name}' was started from '{header.source}', which {state}",
            where=path,
            fix="Bring it back, or run hwsearch profile with --source and --fresh",
        )
    return Table.read(path)


LIKENESS = ("runtime", "precision", "device", "threads", "batch", "pace_hz")
"""What makes an earlier table a good start, the most important first."""


def earlier_table(
    name: str, space: str, wanted: Mapping[str, Any], tables_dir: Path | None = None
) -> Table:
    """Finds the table that a new one is to start from.

    Args:
        name: Of the table, or "auto" for the nearest.
        space: Of the new table.
        wanted: The new table's own values of `LIKENESS`.
        tables_dir: Folder to look in first.

    Raises:
        HwsearchError: If there is none, or it cannot be started from.
    """
    if name != "auto":
        found = Table.read(find_table(name, tables_dir))
        _check_start(found, get_space(space), tables_dir)
        return found
    likeness = [(_likeness(table, wanted), table) for table in known_tables(space, tables_dir)]
    others = [pair for pair in likeness if not all(pair[0])]
    for _, table in sorted(others, key=lambda pair: pair[0], reverse=True):
        with suppress(HwsearchError):
            _check_start(table, get_space(space), tables_dir)
            return table
    raise HwsearchError(
        f"there is no other table of space '{space}' to start from",
        fix="Leave --source out: blocks and networks are measured then",
    )


def _check_start(table: Table, space: Space, tables_dir: Path | None) -> None:
    """Refuses a table that nothing could be predicted from when the new one is measured.

    Raises:
        HwsearchError: If it is of another space, starts from another table, lies where it would
            not be found again, or holds too little evidence.
    """
    check_space(table, space)
    if table.header.source:
        raise HwsearchError(
            f"'{table.name}' itself starts from '{table.header.source}'",
            fix="Start from a table whose blocks were measured",
        )
    if not _is_found_again(table, tables_dir):
        place = (tables_dir or Path(FOLDER)) / table.device / f"{table.name}.jsonl"
        raise HwsearchError(
            "the table to start from is not where tables are looked up",
            where=table.path,
            fix=f"Copy it to {place}",
        )
    Predictor.fit(table, space)


def _is_found_again(table: Table, tables_dir: Path | None) -> bool:
    """Whether a table is what `source_of` will find by its name."""
    try:
        found = find_table(f"{table.device}/{table.name}", tables_dir)
    except HwsearchError:
        return False
    return sha256_of(found) == sha256_of(table.path)


def _likeness(table: Table, wanted: Mapping[str, Any]) -> tuple[bool, ...]:
    return tuple(getattr(table.header, name) == wanted[name] for name in LIKENESS)


def known_tables(space: str, tables_dir: Path | None = None) -> Iterator[Table]:
    """Yields the sound tables of a space that do not start from others, nearest folder first."""
    for folder in table_folders(tables_dir):
        for path in sorted(folder.glob(f"*/{space_in_file_names(space)}-*.jsonl")):
            try:
                table = Table.read(path)
            except HwsearchError:
                continue
            if table.space == space and not table.header.source:
                yield table
