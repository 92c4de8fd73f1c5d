"""How many evaluations does a search need: on a public space where everything is known.

    python tests/benchmarks/search.py --data FOLDER --seeds 20

FOLDER holds NAS-Bench-201's accuracies and latencies, nb201_reference.py, which defines classes,
fronts, hypervolumes and what counts as an evaluation, and its results for plain searches. Latency
is known beforehand, as from a table; the error is asked for. Adds a row a device to
results/search.jsonl: evaluations until 99 % of the true hypervolume are covered, median over seeds
with a bootstrap interval, beside NSGA-II, random search and a static rule that peels the Pareto
layers of latency against the number of live weights; regret, in points of error, at five latency
limits after 100 evaluations, beside random search; and the searcher's own seconds for 200.

The searcher's constants were chosen on gold_6226 and raspi4 only.
"""

import argparse
import importlib.util
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from rows import add_row, open_results

from hwsearch.block import Block
from hwsearch.kinds import register_kind
from hwsearch.layers import INPUT, GlobalPool
from hwsearch.search.goal import Goal
from hwsearch.search.pareto import pareto_front
from hwsearch.search.searcher import Searcher
from hwsearch.space import Dim, Part, Space, Subnet, Values

DEVICES = ("titan_rtx_1", "titan_rtx_32", "gold_6226", "raspi4", "pixel3")
LEVEL, BUDGET, TIMED, MOST = 0.99, 100, 200, 400
LIMITS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Latency limits, as quantiles of the true front's latencies."""


@register_kind("free")
def _free(block: Block) -> tuple[GlobalPool, ...]:
    """An operation without weights."""
    return (GlobalPool("free", INPUT),)


class CellSpace(Space):
    """NAS-Bench-201: six edges of a cell, each with one of five operations."""

    reference: ModuleType

    def canonical(self, subnet: Subnet) -> Subnet:
        """Drops operations that the output does not depend on."""
        alive = live_edges(self.reference, [int(value[0]) for _, value in subnet.values])
        ops = [dim.choices[op] for dim, op in zip(self.dims, alive, strict=True)]
        return self.subnet(**{dim.name: op for dim, op in zip(self.dims, ops, strict=True)})


def live_edges(reference: ModuleType, cell: list[int]) -> list[int]:
    """Returns the operations of a cell, none where an edge leads nowhere or comes from nowhere."""
    edges, forward, backward = reference.EDGES, {0}, {max(end for _, end in reference.EDGES)}
    for (start, end), op in zip(edges, cell, strict=True):
        forward |= {end} if op and start in forward else set()
    for (start, end), op in reversed(list(zip(edges, cell, strict=True))):
        backward |= {start} if op and end in backward else set()
    return [
        op if start in forward and end in backward else 0
        for (start, end), op in zip(edges, cell, strict=True)
    ]


def cell_space(reference: ModuleType) -> Space:
    """Builds the space; what a cell computes is told by convolutions of 16 channels."""
    words = tuple(f"{code}-{name}" for code, name in enumerate(reference.OPS))
    dims = tuple(Dim(f"{start}-{end}", words, prefix=False) for start, end in reference.EDGES)

    def lower(values: Values) -> tuple[Block, ...]:
        cell = [words.index(values[dim.name]) for dim in dims]
        alive = live_edges(reference, cell)
        return tuple(block_of(op, dim.name) for op, dim in zip(alive, dims, strict=True) if op)

    def block_of(op: int, slot: str) -> Block:
        kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(reference.OPS[op], 0)
        sizes = (("in", 16), ("out", 16))
        return Block("stem" if kernel else "free", sizes, 32, slot, kernel or 1, 1)

    parts = (Part("cell", tuple(dim.name for dim in dims), lower),)
    space = CellSpace("nas-bench-201", (3, 32, 32), dims, parts)
    object.__setattr__(space, "reference", reference)
    return space


def goal_of(table: Any) -> Goal:
    """Latency is known beforehand."""
    return Goal(lambda codes: table.values[table.class_of(codes), 0])


def search(reference: ModuleType, table: Any, space: Space, seed: int) -> tuple[Any, list[int]]:
    """Searches until the level is reached; returns the run and the classes in order."""
    run, asked = reference.Run(table), []
    searcher = Searcher(space, [goal_of(table)], seed=seed)
    while len(asked) < MOST and (len(asked) < BUDGET or not run.done):
        codes = searcher.ask()
        classes = table.class_of(codes)
        for found in classes:
            run.evaluate(int(found))
        searcher.tell(codes, table.values[classes, 1])
        asked += list(dict.fromkeys(int(found) for found in classes if found not in set(asked)))
    return run, asked


def static_rule(reference: ModuleType, table: Any, space: Space) -> int | None:
    """Evaluates Pareto layers of latency against live weights, the fast ones first."""
    codes = space.all_codes()
    classes = np.unique(table.class_of(codes))
    first = {int(found): row for row, found in reversed(list(enumerate(table.class_of(codes))))}
    rows = codes[[first[int(found)] for found in classes]]
    left = np.column_stack([table.values[classes, 0], -space.params(rows)])
    run, names = reference.Run(table), classes
    while len(names) and not run.done:
        layer = np.flatnonzero(pareto_front(left))
        for row in layer[np.argsort(left[layer, 0])]:
            run.evaluate(int(names[row]))
        left, names = np.delete(left, layer, axis=0), np.delete(names, layer)
    return run.reached[LEVEL]


def regrets(table: Any, asked: list[int]) -> list[float]:
    """Points of error above the best network within each latency limit."""
    front, found = table.values[table.front], table.values[asked]
    lost = []
    for limit in np.quantile(front[:, 0], LIMITS):
        best, mine = (
            points[points[:, 0] <= limit, 1].min(initial=100.0) for points in (front, found)
        )
        lost.append(float(mine - best))
    return lost


def own_seconds(table: Any, space: Space) -> float:
    """Seconds that the searcher itself takes for some evaluations."""
    began, searcher = time.process_time(), Searcher(space, [goal_of(table)])
    for _ in range(TIMED // searcher.batch):
        codes = searcher.ask()
        searcher.tell(codes, table.values[table.class_of(codes), 1])
    return time.process_time() - began


def judge(
    reference: ModuleType, data: Path, device: str, space: Space, seeds: int
) -> dict[str, Any]:
    """Measures one device."""
    table = reference.Space(data, device)
    ours, lost, lost_random = [], [], []
    for seed in range(seeds):
        run, asked = search(reference, table, space, seed)
        ours.append(run.reached[LEVEL] or np.inf)
        lost.append(regrets(table, asked[:BUDGET]))
        drawn = np.random.default_rng(seed).permutation(np.unique(table.rep))[:BUDGET]
        lost_random.append(regrets(table, drawn.tolist()))
        print(device, seed, ours[-1], flush=True)
    resampled = np.random.default_rng(0).choice(ours, (2000, seeds))
    low, high = np.quantile(np.median(resampled, axis=1), (0.025, 0.975))
    known = pd.read_json(data / "nb201_search_reference.json", typ="series")["devices"][device]
    plain = {
        name: found["evaluations_to_99pct"]["median"] for name, found in known["searches"].items()
    }
    return {
        "device_table": device,
        "seeds": seeds,
        "evaluations_to_99": float(np.median(ours)),
        "interval": [float(low), float(high)],
        "each": [float(value) for value in ours],
        "plain": plain | {"static rule": static_rule(reference, table, space)},
        "regret": np.mean(lost, axis=0).round(3).tolist(),
        "regret_random": np.mean(lost_random, axis=0).round(3).tolist(),
        "seconds_for_200": round(own_seconds(table, space), 2),
    }


def open_reference(data: Path) -> ModuleType:
    """Loads the definitions."""
    spec = importlib.util.spec_from_file_location("reference", data / "nb201_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--devices", nargs="+", default=DEVICES)
    chosen = parser.parse_args()
    reference = open_reference(chosen.data)
    measure = partial(
        judge, reference, chosen.data, space=cell_space(reference), seeds=chosen.seeds
    )
    with open_results("search") as journal:
        for device in chosen.devices:
            figures = measure(device=device)
            print(figures)
            add_row(journal, figures)


if __name__ == "__main__":
    main()
