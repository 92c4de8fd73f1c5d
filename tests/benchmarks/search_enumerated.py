"""How much of the true front a search finds, on a space of which every distance is known.

    python tests/benchmarks/search_enumerated.py --checkpoint RUN --images SRC

computes the teacher distance of all 1,944 networks of a part of `bottleneck-32`, once, in units
that each leave a row in results/search_enumerated.jsonl (an interrupted run goes on). Then, or at
once where the rows are there, it searches for the front of each table with several seeds. A row
a table tells the share of the true front's hypervolume after 5 % of the space, by the search and by
random networks, and the evaluations after which 99 % were found.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import torch
from rows import add_row, open_results

from hwsearch.checkpoint import load_run
from hwsearch.distance import SupernetStudents, Teacher, TeacherDistance, load_target
from hwsearch.journal import Journal
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table, find_table
from hwsearch.search.objectives import Objective
from hwsearch.search.pareto_search import pareto_search
from hwsearch.space import Space
from hwsearch.spaces import get_space

KEPT = {
    "stem": (8, 16),
    "width1": (8, 16),
    "width2": (32,),
    "width3": (32, 48, 64),
    "width4": (64, 96, 128),
    "depth1": (1, 2, 3),
    "depth2": (1, 2, 3),
    "depth3": (1, 3, 5),
    "depth4": (1, 2),
}
UNIT, SHARE, ENOUGH = 81, 0.05, 0.99
TABLES = [
    f"bottleneck-32-{conditions}-b1-t1"
    for conditions in ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32", "openvino-int8")
]


def part_of(space: Space) -> Space:
    """Returns the networks that are enumerated."""
    return replace(space, dims=tuple(replace(dim, choices=KEPT[dim.name]) for dim in space.dims))


def distances(journal: Journal, space: Space, chosen: argparse.Namespace) -> np.ndarray:
    """Computes what the journal does not hold yet; returns all distances, float[N]."""
    units = [row for row in journal if "distances" in row]
    known = [value for row in units for value in row["distances"]]
    codes = space.all_codes()
    if len(known) == len(codes):
        return np.array(known)
    run = load_run(chosen.checkpoint)
    side = run.space.input_shape[1]
    images = load_target(chosen.images, side, limit=chosen.max_images)
    students = SupernetStudents(run, images, calibration_images=chosen.max_images)
    distance = TeacherDistance("projection", students, Teacher(students, run.space.maximum))
    about = {"checkpoint": run.fingerprint, "images": images.fingerprint, "max_images": len(images)}
    about |= {"method": run.header.method, "steps": run.header.step}
    assert all(row[name] == value for row in units for name, value in about.items()), about
    for start in range(len(known), len(codes), UNIT):
        found = [float(distance(space.decode(code))) for code in codes[start : start + UNIT]]
        add_row(journal, about | {"first": start, "distances": [round(one, 8) for one in found]})
        known += found
        print(f"{len(known)} of {len(codes)} distances", flush=True)
    return np.array(known)


def measure_of(space: Space, latency: Objective, distance: np.ndarray) -> Callable:
    """Returns what tells the share of the true hypervolume that networks cover, in log-latency."""
    logs = np.log(latency(space.all_codes()))
    place = (logs - logs.min()) / np.ptp(logs)
    points = np.column_stack([place, distance / distance.max()])

    def volume(rows: np.ndarray) -> float:
        return float(moocore.hypervolume(points[rows], ref=[1.0, 1.0]))

    whole = volume(np.arange(len(points)))
    return lambda rows: volume(rows) / whole


def judge(space: Space, table: Table, distance: np.ndarray, seeds: int) -> dict[str, Any]:
    """Searches for the front of one table, and draws at random."""
    latency = fit_latency(table, get_space(table.space)).mean_ms
    whole = get_space(table.space)

    def milliseconds(codes: np.ndarray) -> np.ndarray:
        return latency(np.array([whole.encode(space.decode(code)) for code in codes]))

    def known(codes: np.ndarray) -> np.ndarray:
        return distance[rows_of(space, codes)]

    share, budget = measure_of(space, milliseconds, distance), int(SHARE * space.size)
    by_search, by_chance, needed = [], [], []
    for seed in range(seeds):
        codes, _ = pareto_search(space, known, [milliseconds], evaluations=2 * budget, seed=seed)
        rows = rows_of(space, codes)
        by_search.append(share(rows[:budget]))
        needed.append(enough(share, rows))
        drawn = np.random.default_rng(seed).permutation(space.size)[:budget]
        by_chance.append(share(drawn))
        print(table.name, seed, by_search[-1], by_chance[-1], needed[-1], flush=True)
    return {
        "table": f"{table.device}/{table.name}",
        "networks": space.size,
        "evaluations": budget,
        "seeds": seeds,
        "search": spread(by_search),
        "random": spread(by_chance),
        "to 99 %": {"median": float(np.median(needed)), "most": max(needed)},
    }


def rows_of(space: Space, codes: np.ndarray) -> np.ndarray:
    """Returns the places of networks in `Space.all_codes`."""
    return np.asarray(np.ravel_multi_index(tuple(codes.T), space.shape))


def enough(share: Callable[[np.ndarray], float], rows: np.ndarray) -> int:
    """Returns after how many evaluations a search covers enough; one more than all if never."""
    covers = [share(rows[: count + 1]) >= ENOUGH for count in range(len(rows))]
    return covers.index(True) + 1 if any(covers) else len(rows) + 1


def spread(shares: Sequence[float]) -> dict[str, float]:
    """Returns the median with its 95 % interval, bootstrapped over seeds, and the least."""
    drawn = np.random.default_rng(0).choice(shares, (2000, len(shares)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    found = {"median": np.median(shares), "low": low, "high": high, "least": min(shares)}
    return {name: round(float(value), 5) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="run of bottleneck-32")
    parser.add_argument("--images", help="what the distance is measured on")
    parser.add_argument("--max-images", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=20)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    space = part_of(get_space("bottleneck-32"))
    with open_results("search_enumerated") as journal:
        distance = distances(journal, space, chosen)
        for name in TABLES:
            figures = judge(space, Table.read(find_table(name)), distance, chosen.seeds)
            print(json.dumps(figures), flush=True)
            add_row(journal, figures)


if __name__ == "__main__":
    main()
