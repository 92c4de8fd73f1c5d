"""The plan of a study: bins and networks, in its journal before anything is ranked or judged."""

from dataclasses import asdict

from hwsearch.correlation.bins import Bin, draw_bins
from hwsearch.correlation.options import CorrelateOptions
from hwsearch.journal import Journal, Json
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.progress import say
from hwsearch.space import Space

FILE, KIND = "study.jsonl", "correlation"


def plan_bins(
    options: CorrelateOptions, table: Table, space: Space, journal: Journal, *, source: str
) -> tuple[Bin, ...]:
    """Returns the bins that a journal holds; draws and journals them first if it holds none.

    Args:
        options: Of the study.
        table: Tells latencies.
        space: Of the networks.
        journal: Of the study.
        source: Fingerprint of all labelled images, whatever --limit takes of them.

    Raises:
        HwsearchError: If bins would overlap or one has too few networks.
    """
    if not journal.rows:
        drawn = draw_bins(
            space,
            fit_latency(table, space).mean_ms,
            count=options.bins,
            per_bin=options.per_bin,
            width=options.bin_width,
            seed=options.seed,
        )
        journal.append({"bins": [_bin_row(group) for group in drawn], "source": source})
    bins = read_bins(journal.rows[0], space)
    for number, group in enumerate(bins, 1):
        say(f"bin {number}: {len(group.subnets)} networks of {group.name}")
    return bins


def _bin_row(group: Bin) -> Json:
    return asdict(group) | {"subnets": [subnet.as_dict() for subnet in group.subnets]}


def read_bins(row: Json, space: Space) -> tuple[Bin, ...]:
    """Reads the first row of a study's journal."""
    return tuple(
        Bin(
            told["low_ms"],
            told["high_ms"],
            tuple(space.subnet(**values) for values in told["subnets"]),
            tuple(told["latency_ms"]),
        )
        for told in row["bins"]
    )
