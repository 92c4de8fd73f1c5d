"""From a table to what tells the latency of any network of its space."""

from hwsearch.errors import HwsearchError
from hwsearch.latency.any_precision import AnyPrecision
from hwsearch.latency.extras import AddedTimes
from hwsearch.latency.lookup import LatencyModel, Lookup, measured_networks
from hwsearch.latency.predictor import Predictor, check_space
from hwsearch.latency.table import Table
from hwsearch.latency.transfer import fit_transfer, source_of
from hwsearch.space import Space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import PrecisionSpace


def fit_latency(table: Table, space: Space) -> LatencyModel:
    """Returns what tells the latencies of a space on a table's device.

    Measured rows are looked up where every network that the space can have has one; for other
    spaces a predictor is fitted, on top of the table that this one was started from if there is
    one. Models of a catalogue share nothing to predict from.

    Raises:
        HwsearchError: If the table is of another space, holds too little evidence, or lacks a
            model of a catalogue or has measured another file.
    """
    if isinstance(space, PrecisionSpace):
        return AnyPrecision(fit_latency(table, space.plain), space)
    check_space(table, space)
    if any(dim.prefix for dim in space.dims):
        return fit_predictor(table, space)
    rows = measured_networks(table, space)
    if len(rows) == space.size:
        return Lookup.of(rows, space, AddedTimes.of(table))
    if not isinstance(space, Catalogue):
        return fit_predictor(table, space)
    missing = [name for name, model in space.models.items() if model.block().key not in rows]
    raise HwsearchError(
        f"{len(missing)} models of the catalogue were not measured: {', '.join(missing)}",
        where=table.path,
        fix=f"Measure them: hwsearch profile --space {space.name} --runtime {table.runtime}; "
        "take those that fail out of the catalogue",
    )


def fit_predictor(table: Table, space: Space) -> Predictor:
    """Fits a predictor, on top of the table that this one was started from if there is one."""
    if table.header.source:
        return fit_transfer(table, space, source_of(table))
    return Predictor.fit(table, space)
