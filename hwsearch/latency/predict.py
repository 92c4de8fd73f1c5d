"""The verb predict: latency of one network or of a whole CSV, with intervals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.heads import added_blocks, parse_ships
from hwsearch.journal import write_atomic
from hwsearch.kinds import NUMBER_BYTES, peak_elements, total_weights
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import LatencyModel, Prediction
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import console
from hwsearch.space import Dim, Space
from hwsearch.spaces import get_space
from hwsearch.subnet import Value

COLUMNS = ("latency_ms", "low_ms", "high_ms")
"""Columns that are added to a CSV."""


@dataclass(frozen=True)
class PredictOptions:
    """What to predict from which table."""

    table: str
    """Latency table: its name, DEVICE/NAME or file."""
    subnet: str = ""
    """Network as NAME=VALUE,…, as JSON, max or min; dimensions left out stay at their maximum."""
    ships: tuple[str, ...] = ()
    """What ships around the network, added to its latency: a head such as classifier:1000,
    detection:80 or segmentation:21, and preprocessing such as camera:480 (pixels of a frame)."""
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
        if self.ships and self.csv:
            raise HwsearchError("--ships goes with --subnet, not with --csv")


def predict(options: PredictOptions) -> Prediction:
    """Predicts and prints, or writes the CSV.

    Raises:
        HwsearchError: If the table or the CSV cannot be used, or a network is impossible.
    """
    table = Table.read(find_table(options.table, options.tables_dir))
    space = get_space(table.space)
    if options.csv:
        return _predict_csv(options.csv, options.out, table, space)
    subnet, fitted = space.parse(options.subnet), fit_latency(table, space)
    extras = parse_ships(options.ships)
    found, blocks = fitted.predict_subnet(subnet), space.lower(subnet)
    added = [(block, fitted.added_ms(block)) for block in added_blocks(blocks, extras)]
    console.print(f"{_interval(found)} on {table.device} ({table.name})", markup=False)
    for block, added_ms in added:
        found = Prediction(*(ms + added_ms for ms in found))
        console.print(f"  + {added_ms:.4g} ms: {block.key}", markup=False)
    if extras:
        console.print(f"  = {_interval(found)} for what ships", markup=False)
    for extra in extras:
        blocks = extra.around(blocks)
    console.print(f"  {_memory(blocks, table)}", markup=False)
    return found


def _memory(blocks: tuple[Block, ...], table: Table) -> str:
    number_bytes = NUMBER_BYTES[table.precision]
    weights = number_bytes * total_weights(blocks) / 1e6
    maps = number_bytes * table.batch * peak_elements(blocks) / 1e6
    return f"weights {weights:.3g} MB, feature maps at most {maps:.3g} MB at a time"


def _interval(found: Prediction) -> str:
    mean, low, high = (ms[0] for ms in found)
    return f"{mean:.4g} ms, 90 % interval {low:.4g} to {high:.4g} ms"


def _predict_csv(path: Path, out: Path | None, table: Table, space: Space) -> Prediction:
    columns, lines = _read_csv(path, space)
    found = _predict_values(_values(path, lines, space), fit_latency(table, space), space)
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


def _values(path: Path, lines: Sequence[dict[str, str]], space: Space) -> list[np.ndarray]:
    """Returns the values of N networks, int[N] or str[N] for each dimension."""
    return [
        np.array(
            [_value(path, number, line, dim) for number, line in enumerate(lines, 1)],
            type(dim.choices[0]),
        )
        for dim in space.dims
    ]


def _value(path: Path, number: int, line: dict[str, str], dim: Dim) -> Value:
    try:
        value = dim.parse(line[dim.name])
    except (TypeError, ValueError) as cause:
        raise HwsearchError(
            f"{dim.name} of network {number} is no whole number: {line[dim.name]}", where=path
        ) from cause
    dim.check(value)
    return value


def _predict_values(columns: list[np.ndarray], fitted: LatencyModel, space: Space) -> Prediction:
    """Predicts N networks by their values; the few off the grid are walked one by one."""
    indices, on_grid = zip(*map(_indices, columns, space.dims), strict=True)
    found = fitted.predict(np.stack(indices, axis=1))
    names = [dim.name for dim in space.dims]
    for row in np.flatnonzero(~np.all(on_grid, axis=0)):
        values = (column[row].item() for column in columns)
        one = fitted.predict_subnet(space.subnet(**dict(zip(names, values, strict=True))))
        found.mean_ms[row], found.low_ms[row], found.high_ms[row] = (
            one.mean_ms[0],
            one.low_ms[0],
            one.high_ms[0],
        )
    return found


def _indices(values: np.ndarray, dim: Dim) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest choice's index for each value, int[N], and whether it is that choice."""
    choices = np.array(dim.choices)
    order = np.argsort(choices)
    places = np.searchsorted(choices, values, sorter=order)
    indices = order[np.minimum(places, len(order) - 1)]
    return indices, choices[indices] == values
