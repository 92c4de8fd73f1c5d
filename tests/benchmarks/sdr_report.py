"""What the evidence on SDR says: points of accuracy with intervals over families and seeds."""

from typing import Any

import numpy as np
import pandas as pd
from sdr_study import TASKS

PAIRS = (
    *(("paths, labels", f"{control}, labels") for control in ("shuffled", "checkpoints")),
    *(("paths, labels", f"{control}, labels") for control in ("untaught", "at-once")),
    *(("paths, labels", control) for control in ("target", "cluster", "equal")),
    *(("paths, no labels", control) for control in ("target", "paths, any")),
    *((half, "half-all-steps") for half in ("half-one", "half-other", "half, labels")),
    *((half, "whole") for half in ("half-one", "half-other", "half, labels")),
)
"""Ways to a network, and what each must beat beside the unified network."""

ROUTES = ("paths, labels", "paths, no labels", "paths, any", "unified")
"""Whose regret is told: of what the best path gains, what they miss."""


def report(rows: list[dict[str, Any]], *, reduced: bool) -> None:
    """Prints gains over the unified network and over the controls, and the regret of routing."""
    rows = [row for row in rows if row["reduced"] == reduced]
    told = [row for row in rows if "below the oracle" in row]
    print(f"{len(rows)} units done, {len(told)} of them judge")
    if not told:
        return
    below = pd.DataFrame(
        [{"task": row["task"], "seed": row["seed"], **row["below the oracle"]} for row in told]
    ).set_index(["task", "seed"])
    known = [pair for pair in PAIRS if set(pair) <= set(below)]  # older rows have fewer ways
    print("points of accuracy, mean over families of tasks and seeds (95 % interval)")
    print("above the unified network:")
    for way in below:
        _tell(way, below["unified"] - below[way])
    print("above a control:")
    for way, control in known:
        _tell(f"{way} - {control}", below[control] - below[way])
    print("below the oracle, the best path by labels:")
    for way in ROUTES:
        _tell(way, below[way])


def _tell(name: str, shares: pd.Series) -> None:
    points_TS = 100 * shares.unstack()
    mean, low, high = _interval(points_TS)
    above = int((points_TS.mean(axis=1) > 0).sum())
    told = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
    print(f"  {name:38} {told:26} above 0 on {above} of {len(points_TS)} tasks")


def _interval(points_TS: pd.DataFrame) -> tuple[float, float, float]:
    """Returns the mean over families of tasks and seeds, and a bootstrap over both."""
    families = points_TS.groupby(lambda task: TASKS.get(task, task)).mean().to_numpy()
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(5000):
        rows = rng.integers(len(families), size=len(families))
        columns = rng.integers(families.shape[1], size=families.shape[1])
        drawn.append(np.nanmean(families[np.ix_(rows, columns)]))
    return float(np.nanmean(families)), *np.nanquantile(drawn, (0.025, 0.975)).tolist()
