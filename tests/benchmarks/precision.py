"""What a precision gains and loses: engines of fp32, bf16 and int8 in one cohort.

    python tests/benchmarks/precision.py --spaces bottleneck-32 basic-32

builds networks of a space (the ends and some drawn evenly over multiply-accumulates) with seeded
weights, calibrated and quantised on digits, in every precision of a runtime; measures all of
them together by hwsearch's protocol, and compares their embeddings of other digits with those of
fp32. Adds a row a space and runtime to results/precision.jsonl: medians over networks, and ends.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import add_row, open_results

from hwsearch.deploy.verify import parity
from hwsearch.distance.images import load_target
from hwsearch.export.onnx import INPUT_NAME, OUTPUT_NAME, export_network, seeded_network
from hwsearch.export.precision import in_precision
from hwsearch.export.quantise import image_feeds
from hwsearch.measurement import Job, Settings, Visit, measure, summarise
from hwsearch.nn import calibrate
from hwsearch.nn.rounded import RANGE_IMAGES
from hwsearch.profiling.models import reference_models
from hwsearch.profiling.workshop import Workshop
from hwsearch.progress import track
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, Engine, LoadOptions, Portable
from hwsearch.runtime.embed import embed
from hwsearch.selfsup.losses import relation_distance
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

JUDGED = 256
"""Images whose embeddings are compared; ranges were told from others."""


@dataclass(frozen=True)
class Cohort:
    """Engines of one runtime.

    Attributes:
        runtime: Its name.
        threads: CPU threads a call.
        engines: By network and precision.
    """

    runtime: str
    threads: int
    engines: dict[tuple[int, str], Path]

    @contextmanager
    def load(self, path: Path) -> Iterator[Engine]:
        """Loads an engine in its own precision; references are fp32."""
        found = {engine: precision for (_, precision), engine in self.engines.items()}
        options = LoadOptions(self.threads, found.get(path, "fp32"), shared_pool=True)
        with get_runtime(self.runtime).load(path, options) as engine:
            yield engine

    def latencies(self, folder: Path, seconds: float) -> dict[tuple[int, str], float]:
        """Measures all engines in one cohort, milliseconds."""
        workshop, models = Workshop(folder, self.runtime, "fp32", 1), reference_models()
        built = workshop.build_all(models, lambda note: None)
        small, large = (built[model.job].engine for model in models)
        keys = {f"{number} {precision}": (number, precision) for number, precision in self.engines}
        jobs = [Job(name, self.engines[key], 1 << 20) for name, key in keys.items()]
        visits: list[Visit] = []
        measure(jobs, (small, large), self.load, visits.append, settings=Settings(seconds))
        return {keys[name]: found.latency_ms for name, found in summarise(visits).items()}

    def embeddings(self, images: np.ndarray) -> dict[tuple[int, str], np.ndarray]:
        """Computes the embeddings of images by every engine, float32[N, E] each."""
        found = {}
        for key, path in self.engines.items():
            with self.load(path) as engine:
                found[key] = embed(
                    engine, images, input_name=INPUT_NAME, output_name=OUTPUT_NAME, batch=1
                )
        return found


def drawn(name: str, count: int) -> list[Subnet]:
    """Returns the ends of a space and networks of all sizes between."""
    space, rng = get_space(name), np.random.default_rng(0)
    return [space.minimum, space.maximum, *(space.sample(rng, "macs") for _ in range(count - 2))]


def build(name: str, runtime: str, images: np.ndarray, arguments: Any, folder: Path) -> Cohort:
    """Builds all networks in all precisions."""
    space, engines = get_space(name), {}
    feeds = image_feeds(INPUT_NAME, images[:RANGE_IMAGES], 1)
    for number, subnet in enumerate(drawn(name, arguments.networks)):
        net = seeded_network(space.lower(subnet), seed=number)
        calibrate(net, [torch.from_numpy(images[:RANGE_IMAGES])])
        place = folder / f"{number}"
        model = export_network(net, place / "model.onnx")
        for precision in get_runtime(runtime).precisions:
            engines[number, precision] = build_one(model, runtime, precision, place, feeds)
    return Cohort(runtime, arguments.threads, engines)


def build_one(model: Portable, runtime: str, precision: str, folder: Path, feeds: tuple) -> Path:
    """Builds one engine in a folder of its own."""
    out = folder / precision
    source = in_precision(
        model, out / "model.onnx", runtime=runtime, precision=precision, feeds=lambda: feeds
    )
    return get_runtime(runtime).build(source, out, BuildOptions(precision))


def figures(cohort: Cohort, images: np.ndarray, folder: Path, seconds: float) -> dict[str, Any]:
    """Compares each precision with fp32: latency, output error, distance between relations."""
    ms = cohort.latencies(folder, seconds)
    outputs = cohort.embeddings(images)
    numbers = sorted({number for number, _ in ms})
    found: dict[str, Any] = {"fp32_ms": [round(ms[number, "fp32"], 4) for number in numbers]}
    for precision in sorted({precision for _, precision in ms} - {"fp32"}):
        ratios, errors, distances = [], [], []
        for number in numbers:
            exact, other = outputs[number, "fp32"], outputs[number, precision]
            ratios.append(ms[number, precision] / ms[number, "fp32"])
            errors.append(parity(other, exact, "fp32").relative_error)
            distances.append(float(relation_distance(*map(torch.from_numpy, (other, exact)))))
        found[precision] = {
            "latency_ratio": spread(ratios),
            "relative_error": spread(errors),
            "relation_distance": spread(distances),
        }
    return found


def spread(values: list[float]) -> list[float]:
    """Returns least, median and greatest of some figures."""
    return [float(f"{value:.3g}") for value in (min(values), np.median(values), max(values))]


def main() -> None:
    """Measures every space and runtime asked for, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=["bottleneck-32", "inverted-32", "basic-32"])
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    target = load_target("sklearn:digits", 32, limit=RANGE_IMAGES + JUDGED)
    images = np.concatenate(list(target.inputs(32)))
    pairs = [(space, runtime) for space in arguments.spaces for runtime in arguments.runtimes]
    with open_results("precision") as journal, track("precisions", len(pairs)) as advance:
        for space, runtime in pairs:
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                cohort = build(space, runtime, images, arguments, folder)
                built = time.monotonic() - began
                row = figures(cohort, images[RANGE_IMAGES:], folder, arguments.seconds)
            row |= {"space": space, "runtime": runtime, "networks": arguments.networks}
            row |= {"threads": arguments.threads, "build_seconds": round(built, 1)}
            print(row)
            add_row(journal, row)
            advance()


if __name__ == "__main__":
    main()
