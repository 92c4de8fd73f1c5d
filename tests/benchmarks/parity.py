"""Do engines compute what torch computes: every runtime and precision, all outputs, real images.

    python tests/benchmarks/parity.py --images SRC --runs RUN ...
    python tests/benchmarks/parity.py --images SRC --precisions int8 [--whole-range]
    python tests/benchmarks/parity.py --table

takes networks of each registered space (the ends, the rest drawn uniformly over
multiply-accumulates), with the weights of a trained supernet where --runs names one of the space,
otherwise with seeded ones whose residual branches are scaled by --branch-scale: in trained networks
they stay small, and a hundred random layers in a row at full scale make any rounding grow. Each is
calibrated on the images and built as `hwsearch deploy` does; the engine's embedding and feature
maps are compared with torch's in float32. Adds a row a space, runtime and precision to
results/parity.jsonl: |engine - torch| / |torch| over all images, largest and mean over networks, by
output. On a processor whose int8 products overflow, weights keep to half their range, as in
deployment, or with --whole-range do not. --table prints one table of all rows.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rows import add_row, open_results

from hwsearch.checkpoint import load_run
from hwsearch.data.prepare import normalise_array
from hwsearch.deploy.verify import ParityMeter
from hwsearch.device import fingerprint
from hwsearch.distance import TargetImages, load_target
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.export.precision import in_precision
from hwsearch.export.program import export_network_program
from hwsearch.export.quantise import image_feeds
from hwsearch.kinds import layers_of
from hwsearch.layers import Conv
from hwsearch.nn import StaticNet, calibrate
from hwsearch.progress import track
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.runtime.embed import compute
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space, space_names

ENGINES = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("torch-aoti", "fp32"),
)


def drawn(space: Space, count: int) -> list[Subnet]:
    """Returns the ends of a space and networks of all sizes between."""
    rng = np.random.default_rng(0)
    return [space.minimum, space.maximum, *(space.sample(rng, "macs") for _ in range(count - 2))]


def network(
    space: Space, subnet: Subnet, run: Path | None, seed: int, branch_scale: float
) -> StaticNet:
    """Returns a network with trained weights, or with seeded ones of small branches."""
    if run is not None:
        return load_run(run, space=space.name).supernet("online").extract(subnet)
    net = seeded_network(space.lower(subnet), seed=seed)
    with torch.no_grad():
        for block in net.static_blocks:
            for layer in layers_of(block.block):
                if isinstance(layer, Conv) and layer.zero_init:
                    block.learned(layer, "scale").mul_(branch_scale)
    return net


def faces(net: StaticNet) -> list[StaticNet]:
    """Returns a network that gives its embedding, and one that gives its maps if it has some."""
    has_maps = any(block.tap is not None for block in net.lowered)
    return [net, net.showing_maps()] if has_maps else [net]


def errors_of(
    net: StaticNet, images: np.ndarray, runtime: str, precision: str, *, half_range: bool
) -> dict[str, tuple[float, float]]:
    """Builds a network's engines; returns the relative and the largest error of each output."""
    found = {}
    for face in faces(net.eval()):
        names = [block.output for block in face.lowered if block.output]
        with tempfile.TemporaryDirectory() as text, torch.no_grad():
            folder, worker = Path(text), get_runtime(runtime)
            if worker.takes == "program":
                model = export_network_program(face, folder / "model.pt2", precision=precision)
            else:
                model = in_precision(
                    export_network(face, folder / "model.onnx"),
                    folder / "lower.onnx",
                    runtime=runtime,
                    precision=precision,
                    feeds=lambda: image_feeds("image", images, 1),
                    half_range=half_range,
                )
            engine = worker.build(model, folder / "engine", BuildOptions(precision=precision))
            expected = face(torch.from_numpy(images)).outputs
            with worker.load(engine, LoadOptions(precision=precision)) as loaded:
                given = compute(loaded, images, input_name="image", outputs=names, batch=1)
        meter = ParityMeter(names)
        meter.add(given, [expected[name].numpy() for name in names])
        found |= {name: (one.relative, one.max_abs) for name, one in meter.errors().items()}
    return found


def measured(
    space: Space,
    nets: Sequence[StaticNet],
    images: np.ndarray,
    *,
    engine: tuple[str, str],
    whole_range: bool,
) -> dict[str, Any]:
    """Returns the row of one space, runtime and precision."""
    (runtime, precision), found, began = engine, [], time.monotonic()
    overflows = precision == "int8" and needs_half_range(runtime, fingerprint())
    half_range = overflows and not whole_range
    with track(f"{space.name} {runtime} {precision}", len(nets)) as advance:
        for net in nets:
            found.append(errors_of(net, images, runtime, precision, half_range=half_range))
            advance()
    relative = {name: [one[name][0] for one in found] for name in found[0]}
    return {
        "space": space.name,
        "runtime": runtime,
        "precision": precision,
        "overflows": overflows,
        "half_range": half_range,
        "networks": len(nets),
        "images": len(images),
        "worst": {name: float(f"{max(values):.3g}") for name, values in relative.items()},
        "mean": {name: float(f"{np.mean(values):.3g}") for name, values in relative.items()},
        "max_abs": float(f"{max(one[name][1] for one in found for name in one):.3g}"),
        "seconds": round(time.monotonic() - began, 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the errors of the embedding and of the worst map, largest and mean, by engine."""
    lines = []
    for row in rows:
        if "worst" in row:
            maps = [name for name in row["worst"] if name != "embedding"]
            lines.append(
                {
                    "runtime": row["runtime"],
                    "precision": row["precision"],
                    "space": row["space"],
                    "weights": row["weights"],
                    "int8": _range_of(row),
                    "n": row["networks"],
                    "embedding max": row["worst"]["embedding"],
                    "embedding mean": row["mean"]["embedding"],
                    "maps max": max((row["worst"][name] for name in maps), default=np.nan),
                    "maps mean": max((row["mean"][name] for name in maps), default=np.nan),
                }
            )
    if not lines:
        return "nothing measured yet"
    found = pd.DataFrame(lines).drop_duplicates(
        ["runtime", "precision", "space", "weights", "int8"], keep="last"
    )
    return found.sort_values(["runtime", "precision", "space", "int8"]).to_string(
        index=False, float_format=lambda value: f"{value:.1e}"
    )


def _range_of(row: dict[str, Any]) -> str:
    if not row.get("overflows"):  # older rows are of processors that add without
        return ""
    return "half range" if row["half_range"] else "overflows"


def inputs(images: TargetImages, side: int, count: int) -> np.ndarray:
    """Returns images as networks take them, float32[N, 3, S, S]."""
    return normalise_array(images.prepared(side)[:count])


def main() -> None:
    """Measures what is asked for, one row an engine's kind; or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what was measured, no more")
    parser.add_argument("--images", help="real images")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="trained supernets")
    parser.add_argument("--spaces", nargs="+", default=space_names())
    parser.add_argument("--runtimes", nargs="+", default=sorted({name for name, _ in ENGINES}))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--whole-range", action="store_true", help="of int8, on any processor")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--count", type=int, default=16, help="of images")
    parser.add_argument("--branch-scale", type=float, default=0.3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with open_results("parity") as journal:
        if not chosen.table:
            runs = {load_run(run).space.name: run for run in chosen.runs}
            images = load_target(chosen.images, 32, limit=max(64, chosen.count))
            for name in chosen.spaces:
                space = get_space(name)
                real = inputs(images, space.input_shape[1], chosen.count)
                nets = []
                for seed, subnet in enumerate(drawn(space, chosen.networks)):
                    net = network(space, subnet, runs.get(name), seed, chosen.branch_scale)
                    nets.append(calibrate(net, [torch.from_numpy(real)]))
                for runtime, precision in ENGINES:
                    if runtime in chosen.runtimes and precision in chosen.precisions:
                        engine, whole = (runtime, precision), chosen.whole_range
                        row = measured(space, nets, real, engine=engine, whole_range=whole)
                        weights = "trained" if name in runs else f"seeded {chosen.branch_scale:g}"
                        add_row(journal, row | {"weights": weights})
        print(table(list(journal)))


if __name__ == "__main__":
    main()
