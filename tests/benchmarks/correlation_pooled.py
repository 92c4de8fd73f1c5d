"""Pools studies of one judge over sets: families of sets count alike, intervals are over them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hwsearch.correlation.analysis import MEAN
from hwsearch.correlation.study import OTHERS

ABOUT = ("trained", "task", "judge", "teacher")
DRAWS = 10_000
FEWEST_FAMILIES = 2
"""Below which there is nothing to draw families from."""


def pool(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Returns one row for each training, task, judge, teacher, measure and ranking, from all rows.

    Supernets that were trained alike with other seeds count as studies of one family of sets. Sets
    that were looked at while a teacher was made are left out with that teacher. A study's figure is
    the mean over its bins. Studies of a family are averaged, then families; the 95 % intervals draw
    families and, in each, studies.
    """
    found = pd.DataFrame(_findings(rows))
    lines = []
    for kind, part in found.groupby([*ABOUT, "measure"], sort=False):
        if part["family"].nunique() >= FEWEST_FAMILIES:
            lines += [
                dict(zip((*ABOUT, "measure"), kind, strict=True)) | one for one in _rankings(part)
            ]
    return pd.DataFrame(lines)


def _findings(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row.get("development"):
            continue
        for one in row["findings"]:
            if one["where"] == MEAN:
                about = {name: row.get(name, "") for name in ("name", "family", *ABOUT[1:])}
                about["trained"] = f"{row['method']}, {row['steps']} steps"
                # The images of a control have a fingerprint in its name; it is one control.
                ranking = "foreign" if one["distance"].startswith("foreign") else one["distance"]
                if row.get("others") and ranking != OTHERS:
                    continue  # its other rankings are in the row without
                figures = ("rho", "ceiling", "ahead", "regret")
                numbers = {name: float(one[name] or "nan") for name in figures}
                yield about | {"measure": one["measure"], "ranking": ranking} | numbers


def _rankings(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    ceiling = _by_family(part.drop_duplicates("name"), "ceiling")
    for ranking, found in part.groupby("ranking", sort=False):
        rho = _by_family(found, "rho")
        yield {
            "ranking": ranking,
            "families": len(rho),
            "studies": found["name"].nunique(),
            "rho": _words(rho),
            "ceiling": f"{_mean(ceiling):.2f}",
            "first_less_this": _words(_by_family(found.dropna(subset=["ahead"]), "ahead")),
            "regret": f"{_mean(_by_family(found, 'regret')):.4f}",
        }


def _by_family(found: pd.DataFrame, figure: str) -> list[np.ndarray]:
    return [part[figure].to_numpy() for _, part in found.groupby("family")]


def _mean(families: Sequence[np.ndarray]) -> float:
    return float(np.mean([family.mean() for family in families]))


def _words(families: Sequence[np.ndarray]) -> str:
    if not families:
        return ""
    rng = np.random.default_rng(0)
    drawn_FD = np.stack(
        [rng.choice(family, (DRAWS, len(family))).mean(axis=1) for family in families]
    )
    picked_DF = rng.integers(len(families), size=(DRAWS, len(families)))
    means_D = drawn_FD[picked_DF, np.arange(DRAWS)[:, None]].mean(axis=1)
    low, high = np.quantile(means_D, (0.025, 0.975))
    return f"{_mean(families):+.2f} ({low:+.2f} {high:+.2f})"
