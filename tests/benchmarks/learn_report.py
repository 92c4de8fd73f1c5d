"""What the rows of learn.py say."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def report(plan: str, tasks: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Prints places, the best of as many random networks, costs and targets hit."""
    mine = {row["unit"]: row for row in rows if row["plan"] == plan}
    drawn = [row for name, row in mine.items() if name.startswith("random-")]
    costs = {
        key: [r["seconds"] for n, r in mine.items() if n.startswith(key) and r["seconds"]]
        for key in ("learn-", "learned-")
    }
    if all(costs.values()):
        ratio = np.mean(costs["learn-"]) / np.mean(costs["learned-"])
        print(f"learning takes {ratio:.2f} times as long as training its network alone")
        for task in tasks:
            _report_task(task, mine, drawn, 1 + int(ratio))
    for name, row in mine.items():
        if name.startswith(("learn-", "target-")):
            ms, how = row["measured_ms"], "measured"
            if ms is None:
                ms, how = row["predicted_ms"], "predicted"
            off = ms / row["target_ms"] - 1
            print(f"{name}: target {row['target_ms']:.4g} ms, {how} {ms:.4g} ms, {off:+.1%}")


def _report_task(
    task: str, mine: dict[str, dict[str, Any]], drawn: Sequence[dict[str, Any]], k: int
) -> None:
    random = np.array([row["results"][task]["accuracy"] for row in drawn])
    if not len(random):
        return
    k = min(k, len(random))
    rng = np.random.default_rng(0)
    best = np.mean([rng.choice(random, k, replace=False).max() for _ in range(2000)])
    print(
        f"{task}: {len(random)} random {random.mean():.4f} ± {random.std():.4f}, best of {k} "
        f"{best:.4f}"
    )
    for name, row in mine.items():
        if name.startswith(("learned-", "searched-", "like-")):
            value, ms = row["results"][task]["accuracy"], row.get("measured_ms")
            latency = "not measured" if ms is None else f"{ms:.4g} ms"
            share = (random < value).mean()
            print(
                f"  {name}: {value:.4f}, better than {share:.0%} of random; {latency}, "
                f"{row['macs'] / 1e6:.2f} M multiply-accumulates"
            )
