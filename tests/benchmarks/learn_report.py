"""What the rows of learn.py say."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

DRAWS = 2000
WAYS = {"learned-": ("learn-",), "final-": ("learn-", "finals-")}
"""Networks that were learned, and what it took."""
OTHERS = ("searched-", "like-", "ready-", "study-")
SEED = re.compile("-[1-9]$")


def with_seed(name: str, seed: int) -> str:
    """Returns the name of a unit that trains what `name` does with seed 0."""
    return f"{name}-{seed}" if seed else name


def report(plan: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints places, the best of as many random networks, costs and targets hit."""
    mine = {row["unit"]: row for row in rows if row["plan"] == plan}
    _list(mine)
    for start, steps in WAYS.items():
        if all(seconds := [_seconds(mine, one) for one in (start, *steps)]):
            ratio = sum(seconds[1:]) / seconds[0]
            print(f"{start}…: learning takes {ratio:.2f} times as long as training its network")
            _report_gains(mine, start, 1 + int(ratio))
    for name, row in mine.items():
        if name.startswith(("learn-", "finals-", "target-")):
            ms, how = row["measured_ms"], "measured"
            if ms is None:
                ms, how = row["predicted_ms"], "predicted"
            off = ms / row["target_ms"] - 1
            print(f"{name}: target {row['target_ms']:.4g} ms, {how} {ms:.4g} ms, {off:+.1%}")


def _seconds(mine: Mapping[str, dict[str, Any]], start: str) -> float:
    """Returns the mean over units; 0 if there is none."""
    known = [row["seconds"] for name, row in mine.items() if name.startswith(start)]
    return float(np.mean([one for one in known if one] or [0.0]))


def _list(mine: Mapping[str, dict[str, Any]]) -> None:
    if not (tasks := tasks_of(mine)):
        return
    random_RT = accuracies(mine, "random-", tasks).reshape(-1, len(tasks))
    print(f"accuracy on {', '.join(tasks)}; {len(random_RT)} random networks:")
    for name, row in mine.items():
        if "results" in row and not name.startswith("random-"):
            value_T = accuracies({name: row}, "", tasks)[0]
            ms = row.get("measured_ms")
            latency = "not measured" if ms is None else f"{ms:.4g} ms"
            share = ""
            if len(random_RT):
                share = f", better than {(random_RT < value_T).mean():.0%} of random"
            print(
                f"  {name}: {value_T.mean():.4f}{share}; {latency}, "
                f"{row['macs'] / 1e6:.2f} M multiply-accumulates"
            )


def tasks_of(mine: Mapping[str, dict[str, Any]]) -> list[str]:
    return next((list(row["results"]) for row in mine.values() if "results" in row), [])


def _report_gains(mine: Mapping[str, dict[str, Any]], start: str, k: int) -> None:
    tasks = tasks_of(mine)
    random_RT = accuracies(mine, "random-", tasks).reshape(-1, len(tasks))
    k = min(k, len(random_RT))
    learned_ST = accuracies(mine, start, tasks)
    print(f"points of {start}… ({len(learned_ST)} seeds) above others, mean over tasks:")
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "random": mean_of,
        f"best of {k} random by {tasks[0]}'s labels": lambda drawn_RT: best_of(
            drawn_RT, np.repeat(drawn_RT[:, :1], drawn_RT.shape[1], axis=1), k
        ),
        f"best of {k} random by each task's labels": lambda drawn_RT: best_of(
            drawn_RT, drawn_RT, k
        ),
    }
    for name, way in ways.items() if k else ():
        tell(name, learned_ST, random_RT, way)
    if start == "final-":
        gates_ST = accuracies(mine, "learned-", tasks)
        tell(f"without finalists ({len(gates_ST)} seeds)", learned_ST, gates_ST, mean_of)
    for name in mine:
        if name.startswith(OTHERS) and not SEED.search(name):
            seeds = {one: row for one, row in mine.items() if SEED.sub("", one) == name}
            one_ST = accuracies(seeds, "", tasks)
            told = name if len(seeds) == 1 else f"{name} ({len(seeds)} seeds)"
            tell(told, learned_ST, one_ST, mean_of)


def mean_of(values_RT: np.ndarray) -> np.ndarray:
    """Returns the mean over networks, float[T]."""
    return values_RT.mean(axis=0)


def accuracies(mine: Mapping[str, dict[str, Any]], start: str, tasks: Sequence[str]) -> np.ndarray:
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


def tell(
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
