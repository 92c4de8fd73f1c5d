"""The verb predict: latency of one network or of a whole CSV, with intervals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.latency.predictor import Prediction, Predictor
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import console
from hwsearch.space import Space
from hwsearch.spaces import get_space

COLUMNS = ("latency_ms", "low_ms", "high_ms")
"""Columns that are added to a CSV."""


@dataclass(frozen=True)
class PredictOptions:
    """What to predict from which table."""

    table: str
    """Latency table: its name, DEVICE/NAME or file."""
    subnet: str = ""
    """Network as NAME=VALUE,…, as JSON, max or min; dimensions left out stay at their maximum."""
    csv: Path | None = None
    """CSV file with one network a line and one column for each dimension."""
    out: Path | None = None
    """Where to write the CSV with its predictions; the screen by default."""
    tables_dir: Path | None = None
    """Folder to look for tables in first."""

    def __post_init__(self) -> None:
        if bool(self.subnet) == (self.csv is not None):
            raise HwsearchError("there must be either --subnet or --csv")
        if self.out and not self.csv:
            raise HwsearchError("--out needs --csv")


def predict(options: PredictOptions) -> Prediction:
    """Predicts and prints, or writes the CSV.

    Raises:
        HwsearchError: If the table or the CSV cannot be used, or a network is impossible.
    """
    table = Table.read(find_table(options.table, options.tables_dir))
    space = get_space(table.space)
    if options.csv:
        return _predict_csv(options.csv, options.out, table, space)
    subnet = space.parse(options.subnet)
    found = Predictor.fit(table, space).predict_subnet(subnet)
    console.print(
        f"{found.mean_ms[0]:.4g} ms, 90 % interval {found.low_ms[0]:.4g} to "
        f"{found.high_ms[0]:.4g} ms on {table.device} ({table.name})",
        markup=False,
    )
    return found


def _predict_csv(path: Path, out: Path | None, table: Table, space: Space) -> Prediction:
    columns, lines = _read_csv(path, space)
    found = _predict_values(_values(path, lines, space), Predictor.fit(table, space), space)
    text = StringIO()
    kept = [name for name in columns if name not in COLUMNS]
    writer = csv.DictWriter(text, [*kept, *COLUMNS], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    predicted = zip(found.mean_ms, found.low_ms, found.high_ms, strict=True)
    for line, numbers in zip(lines, predicted, strict=True):
        formatted = (f"{number:.6g}" for number in numbers)
        writer.writerow(line | dict(zip(COLUMNS, formatted, strict=True)))
    if out:
        write_atomic(out, text.getvalue())
        console.print(f"{len(lines)} predictions in {out}", markup=False)
    else:
        console.print(text.getvalue(), markup=False, end="")
    return found


def _read_csv(path: Path, space: Space) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Reads the lines of a CSV that has a column for each dimension."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, lines = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise HwsearchError(
            f"cannot read the CSV: {cause}", where=path, fix="Check --csv"
        ) from cause
    missing = [dim.name for dim in space.dims if dim.name not in columns]
    if missing:
        raise HwsearchError(
            f"the CSV lacks the columns {', '.join(missing)}",
            where=path,
            fix=f"The table is of space '{space.name}', which has these dimensions",
        )
    return columns, lines


def _values(path: Path, lines: Sequence[dict[str, str]], space: Space) -> np.ndarray:
    """Returns the values of the networks, int[N, D]."""
    names = [dim.name for dim in space.dims]
    try:
        values = [[int(line[name]) for name in names] for line in lines]
    except (TypeError, ValueError) as cause:
        raise HwsearchError("a value in the CSV is no whole number", where=path) from cause
    return np.array(values, dtype=int).reshape(-1, len(names))


def _predict_values(values: np.ndarray, fitted: Predictor, space: Space) -> Prediction:
    """Predicts networks by values int[N, D]; the few off the grid are walked one by one."""
    choices = [np.array(dim.choices) for dim in space.dims]
    codes = np.stack([np.searchsorted(c, v) for c, v in zip(choices, values.T, strict=True)], 1)
    codes = np.minimum(codes, np.array(space.shape) - 1)
    on_grid = np.stack([c[i] for c, i in zip(choices, codes.T, strict=True)], 1) == values
    found = fitted.predict(codes)
    for row in np.flatnonzero(~on_grid.all(1)):
        numbers = (int(value) for value in values[row])
        names = (dim.name for dim in space.dims)
        one = fitted.predict_subnet(space.subnet(**dict(zip(names, numbers, strict=True))))
        found.mean_ms[row], found.low_ms[row], found.high_ms[row] = (
            one.mean_ms[0],
            one.low_ms[0],
            one.high_ms[0],
        )
    return found
