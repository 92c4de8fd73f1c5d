"""What does int8 cost: distances and accuracy of engines against those of their network.

    python tests/benchmarks/quantised_distance.py distances --runs RUN --data FOLDER
    python tests/benchmarks/quantised_distance.py quality --runs RUN --data FOLDER

takes random networks of each trained supernet, the smallest and the largest among them, and builds
engines as `hwsearch deploy` does. --data has a folder cifar10 of labelled tar shards. Each part is
a unit of its own and adds rows to results/quantised_distance.jsonl.

distances: is the distance that a search gets by rounding that of the engine
    shift      by how much an engine's distance differs from the float network's, mean of |.|
    error      by how much it differs from what a search believes, likewise
    size       norm of the change that rounding makes over that of the engine, median
quality: what a linear judge (cross-fitted) loses, and whether the engine's distance tells
    loss       accuracy of the float network less that of the engine, mean and largest
    spearman   of the engine's distance with the loss, and of by how much the distance rose, with
               95 % intervals over networks drawn again
What it gains is for precision.py.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import add_row, open_results
from scipy.stats import spearmanr

from hwsearch.checkpoint import Run, load_run
from hwsearch.deploy.originals import (
    Calls,
    calibration_feeds,
    inputs_of,
    open_original,
    outputs_of,
)
from hwsearch.device import fingerprint
from hwsearch.distance import SupernetStudents, Teacher, TeacherDistance
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.heads import cross_fit
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import linear_head
from hwsearch.export.precision import in_precision
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import with_precisions

ENGINES = (("onnxruntime", "int8"), ("openvino", "int8"), ("openvino", "bf16"))
SHARDS, DRAWS = "cifar10/test-*.tar.gz", 2000


def engine_outputs(
    subnet: Subnet, students: SupernetStudents, runtime: str, precision: str
) -> np.ndarray:
    """Builds an engine and runs it on the images, float32[N, E]."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        form = get_runtime(runtime).takes
        with open_original(
            out,
            subnet,
            students,
            finish=lambda net: net,
            batch=1,
            form=form,
            precision=precision,
            calls=Calls(),
        ) as original:
            takes, gives = original.takes, original.gives
        ready = in_precision(
            original.model,
            out / "lower.onnx",
            runtime=runtime,
            precision=precision,
            feeds=lambda: calibration_feeds(takes, students.images),
            half_range=students.half_range,
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
        "part": "distances",
        "runtime": runtime,
        "precision": precision,
        "n": len(networks),
        "distance": [round(float(real_N.min()), 5), round(float(real_N.max()), 5)],
        "shift": round(float(np.abs(real_N - float_N).mean()), 6),
        "error": round(float(np.abs(real_N - believed_N).mean()), 6),
        "size": round(float(np.median(size_N)), 3),
    }


def quality(
    students: SupernetStudents,
    networks: list[Subnet],
    images: LabelledImages,
    runtime: str,
    precision: str,
) -> dict[str, Any]:
    """Judges engines and their float networks with the same linear heads."""
    space, folds = students.space, images.folds(FOLDS)
    distance = TeacherDistance("projection", students, Teacher(students, space.maximum))

    def judged(features: np.ndarray) -> tuple[float, float]:
        verdict = cross_fit(linear_head, features, images.labels, folds)
        return distance.of_embeddings(features), verdict.score("accuracy")

    found = []
    for network in networks:
        candidate = space.subnet(**network.as_dict(), precision=precision)
        exact = judged(students.embeddings(space.subnet(**network.as_dict())))
        real = judged(engine_outputs(candidate, students, runtime, precision))
        found.append([*exact, *real])
        print(runtime, precision, network, *(f"{value:.5f}" for value in found[-1]), flush=True)
    before_N, right_N, after_N, kept_N = np.array(found).T
    loss_N = right_N - kept_N
    return {
        "part": "quality",
        "runtime": runtime,
        "precision": precision,
        "n": len(networks),
        "images": len(images.labels),
        "accuracy": [round(float(x), 4) for x in (right_N.mean(), kept_N.mean())],
        "loss": [round(float(x), 4) for x in (loss_N.mean(), loss_N.max())],
        "spearman": ranked(after_N, loss_N),
        "spearman_of_rise": ranked(after_N - before_N, loss_N),
        "networks": [[round(float(x), 5) for x in row] for row in found],
    }


def ranked(first_N: np.ndarray, second_N: np.ndarray) -> list[float]:
    """Returns Spearman's rank correlation and its 95 % bootstrap interval over networks."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rows = rng.integers(0, len(first_N), len(first_N))
        if len({*first_N[rows]}) > 1 and len({*second_N[rows]}) > 1:
            drawn.append(spearmanr(first_N[rows], second_N[rows])[0])
    ends = np.quantile(drawn, (0.025, 0.975))
    return [round(float(x), 3) for x in (spearmanr(first_N, second_N)[0], *ends)]


def opened(run: Run, data: Path, most: int) -> tuple[SupernetStudents, LabelledImages]:
    """Opens a supernet, its networks in every precision, and the labelled images of a domain."""
    images = load_labelled(str(data / SHARDS), run.space.input_shape[1], limit=most)
    space = with_precisions(run.space, ("int8", "bf16"))
    half_range = needs_half_range("onnxruntime", fingerprint())  # as on OpenVINO
    students = SupernetStudents(run, images.target, space=space, half_range=half_range)
    return students, images


def main() -> None:
    """Does the part asked for; a row for each supernet, runtime and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", choices=("distances", "quality"))
    parser.add_argument("--runs", nargs="+", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24, help="of networks")
    parser.add_argument("--max-images", type=int, default=256)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with open_results("quantised_distance") as journal:
        for folder in chosen.runs:
            run, rng = load_run(folder), np.random.default_rng(0)
            drawn = [run.space.sample(rng, "macs") for _ in range(chosen.count - 2)]
            networks = [run.space.minimum, *drawn, run.space.maximum]
            students, images = opened(run, chosen.data, chosen.max_images)
            for runtime, precision in ENGINES:
                if chosen.part == "quality":
                    row = quality(students, networks, images, runtime, precision)
                else:
                    row = compare(students, networks, runtime, precision)
                row |= {"space": run.space.name, "steps": run.header.step}
                print(json.dumps(row), flush=True)
                add_row(journal, row)


if __name__ == "__main__":
    main()
