"""Do calls of hwsearch's engines last as long as the peers' own tools say.

    python tests/benchmarks/raw_windows.py --rounds 12

times the same ONNX files side by side, each side in a fresh process a round, the sides of a round
in random order: hwsearch's engine of ONNX Runtime against a bare loop around `session.run`, its
engine of OpenVINO against `benchmark_app` and against a bare loop around `infer` (raw_sides.py
says what each does). Adds a row a peer to results/raw_windows.jsonl, by network: hwsearch's
median over the peer's of the same round, as a median over rounds with a 95 % interval, and how far
each side's medians spread from round to round (standard deviation of their logarithms).
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from raw_sides import SIDES, Case, build_case
from rows import add_row, open_results

NETWORKS = {"small": "bottleneck-32", "middle": "basic-64@96", "large": "basic-64@128"}
"""Spaces whose largest networks are timed: about 0.5, 1.6 and 3 ms on one core."""

PEERS = {
    "onnxruntime script": "hwsearch onnxruntime",
    "benchmark_app": "hwsearch openvino",
    "openvino script": "hwsearch openvino",
}
"""Who each peer is compared with."""

GOAL = 0.02
"""Relative difference from a peer that is allowed."""

Medians = dict[tuple[str, str], list[float]]
"""Milliseconds of each round, by network and side."""


def time_rounds(cases: dict[str, Case], rounds: int, cores: list[int]) -> Medians:
    """Times every side of every network once a round, each in a fresh process on some cores."""
    rng, found = np.random.default_rng(0), {(name, side): [] for name in cases for side in SIDES}
    for number in range(rounds):
        for name, case in cases.items():
            for side in rng.permutation(list(SIDES)).tolist():
                found[name, side].append(in_fresh_process(side, case, cores))
            last = ", ".join(f"{side} {found[name, side][-1]:.4f}" for side in SIDES)
            print(f"round {number + 1} of {rounds}, {name}, ms: {last}", flush=True)
    return found


def in_fresh_process(side: str, case: Case, cores: list[int]) -> float:
    """Calls one side in a process that is kept, with all it starts, to some cores."""
    pin = (os.sched_setaffinity, (0, cores))
    with ProcessPoolExecutor(1, get_context("spawn"), *pin) as pool:
        return pool.submit(SIDES[side], case).result()


def compare(found: Medians, peer: str) -> dict[str, Any]:
    """Returns the figures of one peer, by network."""
    figures = {}
    for name in NETWORKS:
        ours, theirs = np.array(found[name, PEERS[peer]]), np.array(found[name, peer])
        low, ratio, high = ratio_interval(ours / theirs)
        figures[name] = {
            "hwsearch_ms": round(float(np.median(ours)), 4),
            "peer_ms": round(float(np.median(theirs)), 4),
            "spread": [round(float(np.std(np.log(side))), 4) for side in (ours, theirs)],
            "ratio": round(ratio, 4),
            "interval": [round(low, 4), round(high, 4)],
            "within_goal": abs(ratio - 1) <= GOAL,
        }
    return figures


def ratio_interval(ratios: np.ndarray) -> tuple[float, float, float]:
    """Returns the median of ratios between the ends of its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(np.median(ratios)), float(high)


def main() -> None:
    """Times all sides of all networks; one row a peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=1, help="length of a window")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--free", action="store_true", help="pin no side to cores")
    parser.add_argument("--dry", action="store_true", help="add no rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = {
            name: build_case(space, arguments.threads, arguments.seconds, Path(folder) / name)
            for name, space in NETWORKS.items()
        }
        cores = sorted(os.sched_getaffinity(0))
        if not arguments.free:  # the cores that hwsearch measures on
            cores = cores[-arguments.threads :]
        found = time_rounds(cases, arguments.rounds, cores)
    settings = {name: getattr(arguments, name) for name in ("rounds", "seconds", "threads")}
    settings |= {"spaces": NETWORKS, "pinned": not arguments.free}
    rows = [{"peer": peer, **settings, "networks": compare(found, peer)} for peer in PEERS]
    for row in rows:
        print(json.dumps(row))
    if not arguments.dry:
        with open_results("raw_windows") as journal:
            for row in rows:
                add_row(journal, row)


if __name__ == "__main__":
    main()
