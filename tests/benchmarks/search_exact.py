"""How close does a search come to the exact front of a whole space.

    python tests/benchmarks/search_exact.py --table TABLE --seeds 5

The dear objective is how many multiply-accumulates a network has less than the largest, so that
everything is known. Adds two rows to results/search_exact.jsonl: with latencies that add up over
blocks, the exact front is found by integer programming and by enumeration, and the two must agree;
with the table's predictions, by enumeration. Each tells the share of the exact hypervolume that a
search covers, median over seeds and each, and the seconds of both.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from rows import add_row, open_results

from hwsearch.block import Block
from hwsearch.kinds import total_macs
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table, find_table
from hwsearch.search.exact import exact_front
from hwsearch.search.objectives import Objective
from hwsearch.search.pareto import pareto_front
from hwsearch.search.pareto_search import pareto_search
from hwsearch.space import Space
from hwsearch.spaces import get_space

EVALUATIONS = 200


def missing_macs(space: Space) -> Objective:
    """Billions of multiply-accumulates less than the largest network's."""
    most = space.macs(space.encode(space.maximum)[None])[0]
    return lambda codes: (most - space.macs(codes)) / 1e9


def volume(latency: Objective, distance: Objective, space: Space) -> Objective:
    """Returns what measures the hypervolume of networks, in log-latency, in one box for all."""
    every = space.all_codes()
    logs, worst = np.log(latency(every)), distance(every).max()
    low, high = logs.min(), logs.max()

    def measure(codes: np.ndarray) -> float:
        place = (np.log(latency(codes)) - low) / (high - low)
        points = np.column_stack([place, distance(codes) / worst])
        return float(moocore.hypervolume(points, ref=[1.0, 1.0]))

    return measure


def searched(space: Space, latency: Objective, best: float, seeds: int, measure: Callable) -> Any:
    """Searches with several seeds; returns shares of the best hypervolume, and seconds."""
    began, shares = time.process_time(), []
    for seed in range(seeds):
        codes, _ = pareto_search(
            space, missing_macs(space), [latency], evaluations=EVALUATIONS, seed=seed
        )
        shares.append(round(measure(codes) / best, 5))
        print(seed, shares[-1], flush=True)
    return {
        "evaluations": EVALUATIONS,
        "share_of_exact": float(np.median(shares)),
        "each": shares,
        "search_seconds": round((time.process_time() - began) / seeds, 2),
    }


def judge(space: Space, latency: Objective, seeds: int) -> dict[str, Any]:
    """Enumerates a front and searches for it."""
    distance = missing_macs(space)
    began, every = time.process_time(), space.all_codes()
    front = every[pareto_front(np.column_stack([latency(every), distance(every)]))]
    seconds = round(time.process_time() - began, 2)
    measure = volume(latency, distance, space)
    found = searched(space, latency, measure(front), seeds, measure)
    return {"networks": space.size, "front": len(front), "enumeration_seconds": seconds} | found


def programmed(space: Space, block_ms: Callable[[Block], float]) -> dict[str, Any]:
    """Finds the front of additive latencies by integer programming, and compares."""
    began = time.process_time()
    codes = exact_front(
        space,
        lambda blocks: sum(map(block_ms, blocks)),
        lambda blocks: -float(total_macs(blocks)),
    )
    seconds = round(time.process_time() - began, 2)
    latency, distance, every = added(space, block_ms), missing_macs(space), space.all_codes()
    points = np.column_stack([latency(every), distance(every)])
    truth = {tuple(point) for point in points[pareto_front(points)].round(9)}
    mine = {tuple(point) for point in np.column_stack([latency(codes), distance(codes)]).round(9)}
    return {"programs": len(codes), "program_seconds": seconds, "equal": mine == truth}


def added(space: Space, block_ms: Callable[[Block], float]) -> Objective:
    """Sums the milliseconds of blocks."""
    gathered = space.tabulate(lambda blocks: np.array([sum(map(block_ms, blocks))]))
    return lambda codes: gathered(codes)[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", default="bottleneck-224-onnxruntime-fp32-b1-t1")
    parser.add_argument("--tables-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    table = Table.read(find_table(chosen.table, chosen.tables_dir))
    space = get_space(table.space)
    fitted = fit_latency(table, space)
    about = {"table": f"{table.device}/{table.name}", "seeds": chosen.seeds}

    call_ms = min(row.latency_ms for row in table.blocks)

    def block_ms(block: Block) -> float:
        return max(0.0, fitted.features.times(block) - call_ms)

    with open_results("search_exact") as journal:
        figures = judge(space, fitted.mean_ms, chosen.seeds)
        print(figures)
        add_row(journal, about | {"latency": "predicted"} | figures)
        figures = judge(space, added(space, block_ms), chosen.seeds) | programmed(space, block_ms)
        print(figures)
        add_row(journal, about | {"latency": "sum of blocks"} | figures)


if __name__ == "__main__":
    main()
