"""What `search --confirm` has measured, beside what was predicted of it."""

from dataclasses import dataclass

from hwsearch.journal import read_begun
from hwsearch.report.panel import Series
from hwsearch.search.confirmed import FILE, KIND


@dataclass(frozen=True)
class Confirmation:
    """One measured network.

    Attributes:
        row: Of the search's evaluations.
        predicted_ms: What the table alone had told.
        measured_ms: As it ships.
        stderr_ms: Standard error of that.
        flags: Marks of the measurement, such as "noisy".
    """

    row: int
    predicted_ms: float
    measured_ms: float
    stderr_ms: float
    flags: tuple[str, ...]


def confirmations(series: Series) -> list[Confirmation]:
    """Returns what was measured of one table's networks, on the front or not.

    Where something ships around the networks, which is predicted and not measured, only those of
    the front are told: of the others it is not known what it adds.
    """
    search, target = series.search, series.target
    header, measured = read_begun(search.folder / FILE, KIND)
    latency_ms = search.evaluations.latencies(target.table)
    fronts = {search.row(one.subnet): one.measured_ms for one in series.front}
    found: dict[int, Confirmation] = {}
    for values in measured:
        if values["table"] != target.table:
            continue
        row = search.row_of(values["subnet"], target.precision)
        if row is None or (header.get("ships") and not fronts.get(row)):
            continue
        ms = fronts.get(row) or values["latency_ms"]
        error = values["stderr_rel"] * values["latency_ms"]
        found[row] = Confirmation(row, float(latency_ms[row]), ms, error, tuple(values["flags"]))
    return list(found.values())
