"""What does the searcher itself take, beside the distances that it asks for.

    python tests/benchmarks/search_overhead.py --tables TABLE TABLE

Adds a row to results/search_overhead.jsonl: processor seconds of the searcher for 200 evaluations
against the given tables, and of 200 teacher distances on 512 images, from some that are measured,
in a supernet with random weights: what a distance takes does not depend on them.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

from hwsearch.checkpoint import Checkpoint, Header, build_method
from hwsearch.latency.fit import fit_latency
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.options import SearchOptions
from hwsearch.search.pareto_search import pareto_search
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space
from hwsearch.spaces import get_space

EVALUATIONS = 200


def random_run(space: Space, run: Path) -> Path:
    """Writes a checkpoint with random weights."""
    settings = MethodSettings(queue=8)
    method = build_method(space, "moco-v2", settings, seed=0)
    header = Header(space.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    run.mkdir()
    Checkpoint(header, method.state_dict(), {}).save(run)
    return run


def searcher_seconds(inputs: SearchInputs) -> float:
    """Searches by a made-up distance that costs nothing."""
    space = inputs.space
    latencies = [fit_latency(table, space).mean_ms for table in inputs.tables]
    top, weights = np.array(space.shape) - 1, np.linspace(0.3, 1.0, len(space.dims))
    began = time.process_time()
    codes, _ = pareto_search(
        space,
        lambda codes: (1 - codes / np.maximum(top, 1)) ** 1.5 @ weights,
        latencies,
        evaluations=EVALUATIONS,
    )
    assert len(codes) == EVALUATIONS
    return time.process_time() - began


def distance_seconds(inputs: SearchInputs, measured: int) -> float:
    """Evaluates real distances of networks of all sizes."""
    distance, space = inputs.distance(), inputs.space
    distance(space.minimum)  # the teacher is computed once
    rng = np.random.default_rng(0)
    subnets = [space.sample(rng) for _ in range(measured)]
    began = time.process_time()
    for subnet in subnets:
        distance(subnet)
    return (time.process_time() - began) / measured * EVALUATIONS


def judge(space: str, tables: tuple[str, ...], images: str, measured: int) -> dict[str, Any]:
    """Measures both."""
    with tempfile.TemporaryDirectory() as folder:
        run = random_run(get_space(space), Path(folder, "run"))
        inputs = open_inputs(
            SearchOptions(checkpoint=run, tables=tables, images=images, out=Path(folder, "out"))
        )
        own, dear = searcher_seconds(inputs), distance_seconds(inputs, measured)
        return {
            "evaluations": EVALUATIONS,
            "images": inputs.students.images.fingerprint[:12],
            "own_seconds": round(own, 2),
            "distance_seconds": round(dear, 1),
            "share": round(own / (own + dear), 4),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument(
        "--tables",
        nargs="+",
        default=("bottleneck-32-onnxruntime-fp32-b1-t1", "bottleneck-32-openvino-fp32-b1-t1"),
    )
    parser.add_argument("--images", default="sklearn:digits")
    parser.add_argument("--measured", type=int, default=20)
    chosen = parser.parse_args()
    figures = judge(chosen.space, tuple(chosen.tables), chosen.images, chosen.measured)
    print(figures)
    with open_results("search_overhead") as journal:
        add_row(journal, {"tables": list(chosen.tables), **figures})


if __name__ == "__main__":
    main()
