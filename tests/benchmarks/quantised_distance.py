"""Is the distance of a rounded network that of the engine it stands for.

    python tests/benchmarks/quantised_distance.py --checkpoint RUN --images SRC

takes random networks of a trained supernet, the smallest and the largest among them, builds engines
as `deploy` does, and compares their outputs and distances with those that a search gets by
rounding. Adds a row for each runtime and precision to results/quantised_distance.jsonl:

    shift      by how much an engine's distance differs from the float network's, mean of |.|
    error      by how much it differs from what a search believes, likewise
    size       norm of the change that rounding makes over that of the engine, median
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import add_row, open_results

from hwsearch.checkpoint import load_run
from hwsearch.deploy.originals import calibration_feeds, inputs_of, open_original, outputs_of
from hwsearch.distance import SupernetStudents, Teacher, TeacherDistance, load_target
from hwsearch.export.precision import in_precision
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import with_precisions

ENGINES = (("onnxruntime", "int8"), ("openvino", "int8"), ("openvino", "bf16"))


def engine_outputs(
    subnet: Subnet, students: SupernetStudents, runtime: str, precision: str
) -> np.ndarray:
    """Builds an engine and runs it on the images, float32[N, E]."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        form = get_runtime(runtime).takes
        with open_original(
            out, subnet, students, finish=lambda net: net, batch=1, form=form, precision=precision
        ) as original:
            takes, gives = original.takes, original.gives
        ready = in_precision(
            original.model,
            out / "lower.onnx",
            runtime=runtime,
            precision=precision,
            feeds=lambda: calibration_feeds(takes, students.images),
        )
        path = get_runtime(runtime).build(ready, out, BuildOptions(precision=precision))
        options = LoadOptions(threads=1, precision=precision)
        with get_runtime(runtime).load(path, options) as engine:
            inputs = inputs_of(takes, students.images)
            return np.concatenate([outputs_of(engine, takes, gives, x)[0] for x in inputs])


def compare(
    students: SupernetStudents, networks: list[Subnet], runtime: str, precision: str
) -> dict[str, Any]:
    """Compares engines with float and with rounded networks."""
    space = students.space
    distance = TeacherDistance("projection", students, Teacher(students, space.maximum))
    found = []
    for network in networks:
        candidate = space.subnet(**network.as_dict(), precision=precision)
        exact = students.embeddings(space.subnet(**network.as_dict()))
        believed = students.embeddings(candidate)
        real = engine_outputs(candidate, students, runtime, precision)
        distances = [distance.of_embeddings(one) for one in (exact, believed, real)]
        size = np.linalg.norm(believed - exact) / np.linalg.norm(real - exact)
        found.append([*distances, size])
        print(runtime, precision, network, *(f"{value:.5f}" for value in found[-1]), flush=True)
    float_N, believed_N, real_N, size_N = np.array(found).T
    return {
        "runtime": runtime,
        "precision": precision,
        "n": len(networks),
        "distance": [round(float(real_N.min()), 5), round(float(real_N.max()), 5)],
        "shift": round(float(np.abs(real_N - float_N).mean()), 6),
        "error": round(float(np.abs(real_N - believed_N).mean()), 6),
        "size": round(float(np.median(size_N)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=24, help="of networks")
    parser.add_argument("--max-images", type=int, default=256)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    run, rng = load_run(chosen.checkpoint), np.random.default_rng(0)
    drawn = [run.space.sample(rng, "macs") for _ in range(chosen.count - 2)]
    space = with_precisions(run.space, ("int8", "bf16"))
    images = load_target(chosen.images, run.space.input_shape[1], limit=chosen.max_images)
    students = SupernetStudents(run, images, space=space)
    networks = [run.space.minimum, *drawn, run.space.maximum]
    with open_results("quantised_distance") as journal:
        for runtime, precision in ENGINES:
            row = compare(students, networks, runtime, precision)
            row |= {"space": run.space.name, "steps": run.header.step}
            print(json.dumps(row), flush=True)
            add_row(journal, row)


if __name__ == "__main__":
    main()
