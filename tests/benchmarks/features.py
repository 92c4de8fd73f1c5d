"""How fast features of a whole space are gathered, and whether they equal those of the walk.

    python tests/benchmarks/features.py --space bottleneck-224

On one thread: the features of every network of the space from scratch (each combination of each
part is lowered once, then gathered), and those of 1,000 sampled networks lowered one by one; adds
a row to results/features.jsonl.
"""

import argparse
import time

import numpy as np
from rows import add_row, open_results
from threadpoolctl import threadpool_limits

from hwsearch.kinds import cost_of, layers_of, shapes_of
from hwsearch.latency.features import BlockTimes, NetworkFeatures, block_costs, total_costs
from hwsearch.space import Space
from hwsearch.spaces import get_space


def gather_all(space: Space) -> tuple[np.ndarray, float]:
    """Returns the totals of every network, float[size, 8], and the seconds that took."""
    for remembered in (cost_of, layers_of, shapes_of):
        remembered.cache_clear()
    began = time.perf_counter()
    rates = np.ones_like(block_costs(space.lower(space.minimum)[0]))
    features = NetworkFeatures.tabulate(space, BlockTimes({}, rates))
    totals, _ = features.of_codes(space.all_codes())
    return totals, time.perf_counter() - began


def walk_some(space: Space, totals: np.ndarray, count: int) -> tuple[int, float]:
    """Lowers sampled networks; returns how many have equal features, and the seconds of a walk."""
    rng, equal, seconds = np.random.default_rng(0), 0, 0.0
    for index in rng.choice(space.size, count, replace=False):
        subnet = space.decode(np.array(np.unravel_index(index, space.shape)))
        began = time.perf_counter()
        walked = total_costs(space.lower(subnet))
        seconds += time.perf_counter() - began
        equal += np.allclose(walked, totals[index, 1:], rtol=1e-12, atol=0)
    return equal, seconds / count


def main() -> None:
    """Measures one space and appends its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-224")
    parser.add_argument("--walked", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with threadpool_limits(1), open_results("features") as journal:
        runs = [gather_all(get_space(arguments.space)) for _ in range(arguments.repeats)]
        space = get_space(arguments.space)
        equal, walk_seconds = walk_some(space, runs[0][0], arguments.walked)
        figures = {
            "space": space.name,
            "networks": space.size,
            "seconds": sorted(round(seconds, 4) for _, seconds in runs),
            "walked": arguments.walked,
            "equal": int(equal),
            "walk_seconds": round(walk_seconds, 7),
            "walking_all_would_take": round(walk_seconds * space.size, 2),
        }
        print(figures)
        add_row(journal, figures)


if __name__ == "__main__":
    main()
