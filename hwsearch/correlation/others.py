"""The control of other domains: how good the same networks were found to be elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from hwsearch.correlation.bins import Bin
from hwsearch.correlation.plan import FILE, KIND, read_bins
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.judges import JudgeName
from hwsearch.evaluate.remembered import unpack
from hwsearch.evaluate.verdict import Verdict, values
from hwsearch.journal import Json, read_journal
from hwsearch.space import Space, Subnet


def mean_ranks(
    folders: Sequence[Path],
    space: Space,
    bins: Sequence[Bin],
    *,
    judge: JudgeName,
    same: tuple[str, str],
) -> list[np.ndarray]:
    """Ranks networks by the results that studies of other domains found, lower is better.

    Args:
        folders: Finished studies of the same networks.
        space: Of the networks.
        bins: Their bins.
        judge: Whose results are taken.
        same: Fingerprints of this study, which others must not have: of the labelled images, and of
            all that they were taken from by --limit.

    Returns:
        For each bin the mean rank in all studies, float[S].

    Raises:
        HwsearchError: If a study is of other networks or of the same images, or is not finished.
    """
    every = [_ranks(folder, space, bins, judge, same) for folder in folders]
    return [np.mean(ranks, axis=0) for ranks in zip(*every, strict=True)]


def _ranks(
    folder: Path, space: Space, bins: Sequence[Bin], judge: JudgeName, same: tuple[str, str]
) -> list[np.ndarray]:
    header, rows = read_journal(folder / FILE, KIND)
    if header["space"] != space.name or not rows or read_bins(rows[0], space) != tuple(bins):
        raise HwsearchError(
            "a study of --others is of other networks",
            where=folder,
            fix="Repeat it with the same --table, --bins, --per-bin, --bin-width and --seed",
        )
    # An earlier hwsearch did not journal the source.
    if {header["data"], rows[0].get("source")} & {*same}:
        raise HwsearchError(
            "a study of --others is of the same labelled images",
            where=folder,
            fix="Name studies of other domains",
        )
    found = _verdicts(rows, space, judge)
    # A seed that some networks lack would favour or harm them.
    seeds = set.intersection(*(set(found.get(s, {})) for group in bins for s in group.subnets))
    if not seeds:
        raise HwsearchError(
            f"a study of --others lacks verdicts of --judge {judge} on some networks",
            where=folder,
            fix="Let it finish, with the same --judge",
        )
    return [_ranks_of([found[s] for s in group.subnets], sorted(seeds)) for group in bins]


def _verdicts(
    rows: Sequence[Json], space: Space, judge: JudgeName
) -> dict[Subnet, dict[int, Verdict]]:
    """Returns what one judge said of each network, by seed."""
    found: dict[Subnet, dict[int, Verdict]] = {}
    for row in rows:
        if "verdict" in row and row["judge"] == judge:
            seeds = found.setdefault(space.subnet(**row["subnet"]), {})
            seeds[row["seed"]] = unpack(row["verdict"])
    return found


def _ranks_of(verdicts: Sequence[dict[int, Verdict]], seeds: Sequence[int]) -> np.ndarray:
    """Ranks networks by the first measure, the best one first, float[S]."""
    told = [[one[seed] for seed in seeds] for one in verdicts]
    first = told[0][0]
    (results_S,) = values(told, first.measures[0], np.ones((1, len(first)), "f4"))
    return rankdata(-results_S)
