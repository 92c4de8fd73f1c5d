"""The control of other domains: how good the same networks were found to be elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from hwsearch.correlation.bins import Bin
from hwsearch.correlation.plan import FILE, KIND, read_bins
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.remembered import unpack
from hwsearch.evaluate.verdict import LOWER_IS_BETTER
from hwsearch.journal import Json, read_journal
from hwsearch.space import Space, Subnet


def mean_ranks(folders: Sequence[Path], space: Space, bins: Sequence[Bin]) -> list[np.ndarray]:
    """Ranks networks by the results that studies of other domains found, lower is better.

    Args:
        folders: Finished studies of the same networks.
        space: Of the networks.
        bins: Their bins.

    Returns:
        For each bin the mean rank in all studies, float[S].

    Raises:
        HwsearchError: If a study is of other networks, or is not finished.
    """
    every = [_ranks(folder, space, bins) for folder in folders]
    return [np.mean(ranks, axis=0) for ranks in zip(*every, strict=True)]


def _ranks(folder: Path, space: Space, bins: Sequence[Bin]) -> list[np.ndarray]:
    header, rows = read_journal(folder / FILE, KIND)
    if header["space"] != space.name or not rows or read_bins(rows[0], space) != tuple(bins):
        raise HwsearchError(
            "a study of --others is of other networks",
            where=folder,
            fix="Repeat it with the same --table, --bins, --per-bin, --bin-width and --seed",
        )
    found = _results(rows, space)
    if missing := [s for group in bins for s in group.subnets if s not in found]:
        raise HwsearchError(
            f"a study of --others lacks the verdicts on {len(missing)} networks",
            where=folder,
            fix="Let it finish",
        )
    return [rankdata([-np.mean(found[s]) for s in group.subnets]) for group in bins]


def _results(rows: Sequence[Json], space: Space) -> dict[Subnet, list[float]]:
    """Returns all results of each network by the first measure, higher is better."""
    found: dict[Subnet, list[float]] = {}
    for row in rows:
        if "verdict" in row:
            verdict = unpack(row["verdict"])
            measure = verdict.measures[0]
            sign = -1 if measure in LOWER_IS_BETTER else 1
            value = sign * verdict.score(measure)
            found.setdefault(space.subnet(**row["subnet"]), []).append(value)
    return found
