"""What the rows of learn.py say."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

DRAWS = 2000
OTHERS = ("searched-", "like-", "ready-", "study-")
SEED = re.compile("-[1-9]$")


def with_seed(name: str, seed: int) -> str:
    """Returns the name of a unit that trains what `name` does with seed 0."""
    return f"{name}-{seed}" if seed else name


def report(plan: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints places, the best of as many random networks, costs and targets hit."""
    mine = {row["unit"]: row for row in rows if row["plan"] == plan}
    costs = {
        key: [r["seconds"] for n, r in mine.items() if n.startswith(key) and r["seconds"]]
        for key in ("learn-", "learned-")
    }
    if all(costs.values()):
        ratio = np.mean(costs["learn-"]) / np.mean(costs["learned-"])
        print(f"learning takes {ratio:.2f} times as long as training its network alone")
        _report_accuracy(mine, 1 + int(ratio))
    for name, row in mine.items():
        if name.startswith(("learn-", "target-")):
            ms, how = row["measured_ms"], "measured"
            if ms is None:
                ms, how = row["predicted_ms"], "predicted"
            off = ms / row["target_ms"] - 1
            print(f"{name}: target {row['target_ms']:.4g} ms, {how} {ms:.4g} ms, {off:+.1%}")


def _report_accuracy(mine: Mapping[str, dict[str, Any]], k: int) -> None:
    tasks = list(next(row["results"] for row in mine.values() if "results" in row))
    random_RT = _accuracies(mine, "random-", tasks).reshape(-1, len(tasks))
    k = min(k, len(random_RT))
    print(f"accuracy on {', '.join(tasks)}; {len(random_RT)} random networks:")
    for name, row in mine.items():
        if "results" in row and not name.startswith("random-"):
            value_T = _accuracies({name: row}, "", tasks)[0]
            ms = row.get("measured_ms")
            latency = "not measured" if ms is None else f"{ms:.4g} ms"
            share = f", better than {(random_RT < value_T).mean():.0%} of random" if k else ""
            print(
                f"  {name}: {value_T.mean():.4f}{share}; {latency}, "
                f"{row['macs'] / 1e6:.2f} M multiply-accumulates"
            )
    learned_ST = _accuracies(mine, "learned-", tasks)
    print(f"points of learned networks ({len(learned_ST)} seeds) above others, mean over tasks:")
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "random": lambda drawn_RT: drawn_RT.mean(axis=0),
        f"best of {k} random by {tasks[0]}'s labels": lambda drawn_RT: best_of(
            drawn_RT, np.repeat(drawn_RT[:, :1], drawn_RT.shape[1], axis=1), k
        ),
        f"best of {k} random by each task's labels": lambda drawn_RT: best_of(
            drawn_RT, drawn_RT, k
        ),
    }
    for name, way in ways.items() if k else ():
        _tell(name, learned_ST, random_RT, way)
    for name in mine:
        if name.startswith(OTHERS) and not SEED.search(name):
            seeds = {one: row for one, row in mine.items() if SEED.sub("", one) == name}
            one_ST = _accuracies(seeds, "", tasks)
            told = name if len(seeds) == 1 else f"{name} ({len(seeds)} seeds)"
            _tell(told, learned_ST, one_ST, lambda one_RT: one_RT.mean(axis=0))


def _accuracies(mine: Mapping[str, dict[str, Any]], start: str, tasks: Sequence[str]) -> np.ndarray:
    """Returns accuracies of some networks, float[N, T]."""
    rows = [row for name, row in mine.items() if name.startswith(start)]
    return np.array([[row["results"][task]["accuracy"] for task in tasks] for row in rows])


def best_of(values_RT: np.ndarray, by_RT: np.ndarray, k: int) -> np.ndarray:
    """Returns what the first by some measure, of k networks drawn from all, has on average.

    Args:
        values_RT: Accuracies, float[R, T].
        by_RT: What the best of them is told by, float[R, T].
        k: How many are drawn, without repetition.
    """
    count = len(values_RT)
    # The network of place i is the first of k if the others are among the i behind it.
    chance_R = np.array([comb(place, k - 1) for place in range(count)]) / comb(count, k)
    order_RT = np.argsort(by_RT, axis=0, kind="stable")
    return chance_R @ np.take_along_axis(values_RT, order_RT, axis=0)


def _tell(
    name: str,
    learned_ST: np.ndarray,
    others_RT: np.ndarray,
    way: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Prints a difference with a 95 % bootstrap interval over tasks, seeds and random networks."""
    gains_T = 100 * (learned_ST.mean(axis=0) - way(others_RT))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        seeds, rows = (rng.integers(len(of), size=len(of)) for of in (learned_ST, others_RT))
        difference_T = learned_ST[seeds].mean(axis=0) - way(others_RT[rows])
        drawn.append(100 * rng.choice(difference_T, len(difference_T)).mean())
    low, high = np.quantile(drawn, (0.025, 0.975))
    above = (gains_T > 0).sum()
    print(
        f"  {name}: {gains_T.mean():+.2f} ({low:+.2f} to {high:+.2f}), "
        f"above it on {above} of {len(gains_T)} tasks"
    )
