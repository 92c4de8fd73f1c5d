"""How much faster is a precision: engines of fp32, bf16 and int8 in one cohort, family by family.

    python tests/benchmarks/precision.py                        (on a quiet machine)
    python tests/benchmarks/precision.py --table

builds networks of a space (the ends and some drawn evenly over multiply-accumulates) with seeded
weights, calibrated and quantised on digits, in every precision of a runtime, and measures all of
them together by hwsearch's protocol. Adds a row a space and runtime to results/precision.jsonl:
milliseconds in fp32, and each precision's latency over it: least, geometric mean and greatest.
What a precision loses is for quantised_distance.py and parity.py.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from parity import drawn
from rows import add_row, open_results
from scipy.stats import gmean

from hwsearch.distance.images import load_target
from hwsearch.export.onnx import INPUT_NAME, export_network, seeded_network
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
from hwsearch.spaces import get_space


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
        found = {keys[name]: one.latency_ms for name, one in summarise(visits).items()}
        if missing := len(self.engines) - len(found):
            raise SystemExit(f"{missing} engines were not measured: give more --seconds")
        return found


def build(name: str, runtime: str, arguments: Any, folder: Path) -> Cohort:
    """Builds all networks in all precisions."""
    space, engines = get_space(name), {}
    side = space.input_shape[1]
    images = next(iter(load_target("sklearn:digits", side, limit=RANGE_IMAGES).inputs(side)))
    feeds = image_feeds(INPUT_NAME, images, 1)
    for number, subnet in enumerate(drawn(space, arguments.networks)):
        net = seeded_network(space.lower(subnet), seed=number)
        calibrate(net, [torch.from_numpy(images)])
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
    return get_runtime(runtime).build(source, out, BuildOptions(precision=precision))


def ratios(ms: dict[tuple[int, str], float]) -> dict[str, list[float]]:
    """Returns each precision's latency over that of fp32: least, geometric mean, greatest."""
    found = {}
    for precision in sorted({precision for _, precision in ms} - {"fp32"}):
        shares = [ms[n, precision] / ms[n, "fp32"] for n, one in ms if one == precision]
        found[precision] = [round(float(x), 3) for x in (min(shares), gmean(shares), max(shares))]
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the last row of each space and runtime, a line a precision."""
    lines = [
        {"space": row["space"], "runtime": row["runtime"], "precision": precision}
        | dict(zip(("least", "mean", "most"), shares, strict=True))
        | {"networks": row["networks"]}
        for row in rows
        for precision, shares in row["ratios"].items()
    ]
    if not lines:
        return "nothing measured yet"
    last = pd.DataFrame(lines).drop_duplicates(["space", "runtime", "precision"], keep="last")
    return last.to_string(index=False)


def main() -> None:
    """Measures every space and runtime asked for, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what was measured, no more")
    parser.add_argument(
        "--spaces", nargs="+", default=["basic-32", "bottleneck-32", "inverted-32", "vit-32"]
    )
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [(space, runtime) for space in arguments.spaces for runtime in arguments.runtimes]
    with open_results("precision") as journal:
        if not arguments.table:
            with track("precisions", len(pairs)) as advance:
                for space, runtime in pairs:
                    add_row(journal, measured(space, runtime, arguments))
                    advance()
        print(table(list(journal)))


def measured(space: str, runtime: str, arguments: Any) -> dict[str, Any]:
    """Returns the row of one space and runtime."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        cohort = build(space, runtime, arguments, Path(temporary))
        build_seconds = time.monotonic() - began
        ms = cohort.latencies(Path(temporary), arguments.seconds)
    return {
        "space": space,
        "runtime": runtime,
        "networks": arguments.networks,
        "threads": arguments.threads,
        "fp32_ms": [round(value, 4) for (_, one), value in sorted(ms.items()) if one == "fp32"],
        "ratios": ratios(ms),
        "build_seconds": round(build_seconds, 1),
    }


if __name__ == "__main__":
    main()
